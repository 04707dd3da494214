"""Whatever is typed: settings, or a sentence that names what is wrong."""

import pathlib

from absl import flags as absl_flags
from hypothesis import HealthCheck
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_graft import flags
from keras_graft.runs.changed_flags import flag_values

# Values that someone may type by mistake, beside those that nobody would.
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "1", "2.5", "nan", "inf", "1e400", "True", "none"]
    ),
    st.sampled_from(["digits", "entropy", "external", "own", "cosine", "must"]),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=12),
)
NAMES = st.one_of(
    st.sampled_from(sorted(flags.Settings._fields)), st.text(max_size=8)
)
ARGUMENTS = st.one_of(
    st.builds("--{}={}".format, NAMES, VALUES),
    st.builds("--{}".format, NAMES),
    st.builds("--no{}".format, NAMES),
    st.text(max_size=12),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ARGUMENTS, max_size=5))
@example(["--flagfile="])
@example(["--flagfile=nowhere.flags"])
@example(["--workdir=\x00"])
@example(["--teachers=,"])
def test_any_command_line_is_understood_or_refused_with_a_reason(arguments):
    before = sorted(pathlib.Path().iterdir())
    values = absl_flags.FlagValues()
    flags.define(values)
    try:
        found = flags.parse(["launch", *arguments], values)
    except (absl_flags.Error, ValueError) as error:
        assert str(error).strip()
    else:
        # What is understood can be written down and read again.
        text = flags.flags_text(found)
        assert flag_values(text)["dataset"] == found.dataset
    assert sorted(pathlib.Path().iterdir()) == before


LINES = st.lists(
    st.one_of(
        ARGUMENTS,
        st.sampled_from(
            ["", "# a comment", "--", "--flagfile=self.flags", "--flagfile="]
        ),
        st.text(max_size=20),
    ),
    max_size=6,
)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.one_of(
        st.binary(max_size=60),
        LINES.map(lambda lines: "\n".join(lines).encode(errors="replace")),
    )
)
@example(b"\xff\xfe--epochs=2")
@example(b"--teachers=" + b"a" * 200_000 + b".keras")
@example(b"--workdir=" + b"a" * 10_000)
@example(b"--epochs=" + b"9" * 10_000)
def test_any_flagfile_is_understood_or_refused_with_a_reason(tmp_path, content):
    file = tmp_path / "self.flags"
    file.write_bytes(content)
    values = absl_flags.FlagValues()
    flags.define(values)
    try:
        found = flags.parse(["launch", f"--flagfile={file}"], values)
    except (absl_flags.Error, ValueError) as error:
        assert str(error).strip()
    else:
        assert flag_values(flags.flags_text(found))["dataset"] == found.dataset
    assert list(tmp_path.iterdir()) == [file]
