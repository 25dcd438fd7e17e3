"""Writes a C++ source that holds the build's id, if it changed: build_id.py OUTPUT ROOT PART..."""
import hashlib
import pathlib
import subprocess
import sys


def git(root, *arguments):
    try:
        return subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""


def sources(root):
    """The commit, and a digest of what differs from it in the folders that a run depends on."""
    folders = ["runtime", "storage", "protocol", "sim", "checker", "scenarios"]
    commit = git(root, "rev-parse", "--short=12", "HEAD").decode().strip()
    if not commit:
        return "unversioned"
    digest = hashlib.sha256(git(root, "diff", "HEAD", "--", *folders))
    for name in sorted(git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *folders).split(b"\0")):
        path = pathlib.Path(root, name.decode())
        if name and path.is_file():
            digest.update(name + path.read_bytes())
    changed = digest.digest() != hashlib.sha256().digest()
    return commit + ("+" + digest.hexdigest()[:8] if changed else "")


def main():
    output, root, parts = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    text = ('#include "reports/run_record.h"\n\nnamespace verdict::reports {\n\n'
            f'std::string_view build_id() {{ return "{" ".join([sources(root), *parts])}"; }}\n\n'
            "}  // namespace verdict::reports\n")
    output.parent.mkdir(parents=True, exist_ok=True)
    if not output.exists() or output.read_text() != text:
        output.write_text(text)


main()
