#!/usr/bin/env python3
"""Verdict inside somebody's own CMake project: it configures, and asks nothing of the project's own sources.

    VERDICT_BUILD=build/release python3 tests/cli/test_embedding.py
"""

import pathlib
import subprocess
import tempfile
import unittest

import test_program

PROJECT = """cmake_minimum_required(VERSION 3.25)
project(mine LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 23)
add_subdirectory({root} verdict EXCLUDE_FROM_ALL)
add_executable(mine mine.cpp)
target_link_libraries(mine PRIVATE verdict::library)
"""
SOURCE = '#include "search/verdict.h"\nint main() { return 0; }\n'


class Embedding(unittest.TestCase):
    def run_in(self, folder, *command):
        done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_a_foreign_project_adds_it_as_a_subdirectory(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "CMakeLists.txt").write_text(PROJECT.format(root=test_program.ROOT))
            (path / "mine.cpp").write_text(SOURCE)
            self.run_in(folder, "cmake", "-G", "Ninja", "-B", "build", "-DCMAKE_CXX_COMPILER=clang++-19")
            commands = self.run_in(folder, "ninja", "-C", "build", "-t", "commands", "mine").split("\n")
            mine = [line for line in commands if line.endswith("mine.cpp")]
            self.assertEqual(len(mine), 1)
            self.assertIn(f"-I{test_program.ROOT}", mine[0])
            self.assertIn(f"-I{path}/build/verdict/generated", mine[0])
            self.assertNotIn("-Werror", mine[0])
            self.assertTrue(any("/search/verdict.cpp" in line for line in commands))
            self.assertFalse(any("/tests/unit/" in line for line in commands))


if __name__ == "__main__":
    unittest.main()
