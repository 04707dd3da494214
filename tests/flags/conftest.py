"""How tests of flags parse a command line."""

import pytest
from absl import flags as absl_flags

from keras_graft import flags


@pytest.fixture
def parse(tmp_path, monkeypatch):
    """Parses flags in an empty folder, on top of the flags' own defaults."""
    monkeypatch.chdir(tmp_path)
    bare = tmp_path / "bare.flags"
    bare.write_text("# no flag\n")

    def parse_flags(*arguments):
        flag_values = absl_flags.FlagValues()
        flags.define(flag_values)
        command = ["launch", f"--flagfile={bare}", *arguments]
        return flags.parse(command, flag_values)

    return parse_flags
