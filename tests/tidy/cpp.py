"""Just enough C++ reading for the rules: comments and literals blanked out, brackets matched, functions found."""

import bisect
import re

RAW_STRING = re.compile(r'R"([^()\\ \t\n]{0,16})\(')
CONTROL = {"if", "for", "while", "switch", "catch", "else", "do", "try", "return", "co_return", "constexpr"}


def blank(text):
    """The text with comments and the insides of literals replaced by spaces; line breaks stay."""
    out = []
    i, n = 0, len(text)

    def fill(end):
        out.append("".join("\n" if c == "\n" else " " for c in text[i:end]))
        return end

    while i < n:
        two = text[i:i + 2]
        if two == "//":
            end = text.find("\n", i)
            i = fill(n if end < 0 else end)
        elif two == "/*":
            end = text.find("*/", i + 2)
            i = fill(n if end < 0 else end + 2)
        elif two == 'R"' and (match := RAW_STRING.match(text, i)):
            end = text.find(")" + match.group(1) + '"', match.end())
            i = fill(n if end < 0 else end + len(match.group(1)) + 2)
        elif text[i] == '"' or (text[i] == "'" and not (i and text[i - 1].isalnum())):
            quote, end = text[i], i + 1
            while end < n and text[end] != quote and text[end] != "\n":
                end += 2 if text[end] == "\\" else 1
            out.append(quote)
            i += 1
            i = fill(min(end, n))
            if i < n and text[i] == quote:
                out.append(quote)
                i += 1
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


class Source:
    """One file: `text` as it is, `code` without comments and literals (same positions)."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        self.code = blank(text)
        self.code_lines = self.code.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def line_of(self, position):
        return bisect.bisect_right(self.starts, position)

    def without_preprocessor(self):
        """The code with directives (and their continuation lines) blanked."""
        out, continued = [], False
        for line in self.code_lines:
            if continued or line.lstrip().startswith("#"):
                continued = line.endswith("\\")
                out.append(" " * len(line))
            else:
                out.append(line)
        return "\n".join(out)


def closing(code, position):
    """The position of the bracket that closes the one at `position`, or the end of the code."""
    opening = code[position]
    other = {"(": ")", "{": "}", "[": "]"}[opening]
    depth = 0
    for match in re.compile("[" + re.escape(opening + other) + "]").finditer(code, position):
        depth += 1 if match.group() == opening else -1
        if depth == 0:
            return match.start()
    return len(code)


def closing_angle(code, position):
    """The same for a template's argument list, or -1 if it is none."""
    depth = 0
    for i in range(position, min(len(code), position + 2000)):
        c = code[i]
        if c == "<":
            depth += 1
        elif c == ">" and code[i - 1] != "-":
            depth -= 1
            if depth == 0:
                return i
        elif c in ";{}":
            return -1
    return -1


def split_arguments(code):
    """Splits at commas outside brackets of all kinds; template arguments count as brackets where they look like it."""
    parts, depth, start = [], 0, 0
    i = 0
    while i < len(code):
        c = code[i]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "<" and re.match(r"\s*[\w:]", code[i + 1:]) and (end := closing_angle(code, i)) > 0:
            i = end
        elif c == "," and depth == 0:
            parts.append(code[start:i])
            start = i + 1
        i += 1
    parts.append(code[start:])
    return [part for part in parts if part.strip()]


def functions(code):
    """(name, start, end) of each function body outside other functions; start is where its header begins."""
    found = []
    i, n, header = 0, len(code), 0
    while i < n:
        c = code[i]
        if c in ";}":
            header = i + 1
        elif c == "(":
            i = closing(code, i)
        elif c == "{":
            text = code[header:i]
            first = re.match(r"\s*(?:template\s*<[^{]*?>\s*)?(?:export\s+|inline\s+)*(\w*)", text)
            word = first.group(1) if first else ""
            is_type = (re.search(r"\b(class|struct|union|enum|namespace)\b[^()]*$", text) or
                       word in ("namespace", "extern"))
            assigned = re.search(r"(?<![=!<>+\-*/])=\s*$|=\s*[\w:<>, ]*$", text)
            if "(" in text and not is_type and not assigned and "operator=" not in text.replace(" ", "")[-10:]:
                end = closing(code, i)
                after = re.match(r"\s*([,{])", code[end + 1:])
                if after and re.search(r"\)\s*(noexcept\s*)?:[^:]", text):
                    i = end + 1  # a member's initializer; the header goes on
                    continue
                name = re.search(r"(operator\s*[^\s\w]+|operator\s+\w+|[\w~]+)\s*\(", text)
                start = header + len(text) - len(text.lstrip())
                found.append((name.group(1) if name else "?", start, end))
                i = end
                header = end + 1
            elif is_type:
                header = i + 1
            else:
                i = closing(code, i)  # an initializer, a concept, an enum's list
                if assigned is None:
                    header = i + 1
        i += 1
    return found


def lambdas(code):
    """(start, captures, parameters, trailing return, body start, body end) of each lambda expression."""
    found = []
    for match in re.finditer(r"\[", code):
        start = match.start()
        before = code[:start].rstrip()[-1:]
        word = re.search(r"(\w+)\s*$", code[max(0, start - 40):start])
        if code[start + 1:start + 2] == "[" or before == "[":
            continue
        after_word = word and word.group(1) in ("return", "co_return", "co_await")
        if before and (before.isalnum() or before in "_)]") and not after_word:
            continue
        end = closing(code, start)
        captures, i = code[start + 1:end], end + 1
        rest = re.match(r"\s*(<[^()]*?>\s*)?", code[i:])
        i += rest.end()
        parameters = ""
        if code[i:i + 1] == "(":
            close = closing(code, i)
            parameters, i = code[i + 1:close], close + 1
        tail = re.match(r"[^;{}()=]*", code[i:])
        i += tail.end()
        if code[i:i + 1] != "{":
            continue
        found.append((start, captures.strip(), parameters, tail.group(), i, closing(code, i)))
    return found


def statements(code):
    """(position, text) of what lies between ; { } and the heads of control statements, which stand alone."""
    found, start, i, n = [], 0, 0, len(code)
    while i < n:
        c = code[i]
        if c in ";{}":
            found.append((start, code[start:i]))
            start = i + 1
        elif c == "(":
            head = re.search(r"\b(if|while|switch)\s*(constexpr\s*)?$", code[start:i])
            if head:
                end = closing(code, i)
                part = i + 1
                for piece in code[i + 1:end].split(";"):
                    found.append((part, piece))
                    part += len(piece) + 1
                start = i = end
                start += 1
        i += 1
    found.append((start, code[start:]))
    return found
