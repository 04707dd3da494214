"""How a command line is read, and what is refused."""

import os
import pathlib
import sys
from collections import namedtuple
from collections.abc import Iterator
from collections.abc import Sequence

from absl import flags as absl_flags

from keras_graft.checks.output_files import check_output_file
from keras_graft.flags import flagfiles
from keras_graft.flags import value_types
from keras_graft.flags.contradictions import refuse_contradictions
from keras_graft.flags.rules import RULES
from keras_graft.flags.writing import SPECS
from keras_graft.flags.writing import line_of
from keras_graft.flags.writing import name_in
from keras_graft.flags.writing import run_name
from keras_graft.structure.printable import printable

# For those who read flags apart from the command line's.
FlagValues = absl_flags.FlagValues

Settings = namedtuple("Settings", tuple(SPECS))
Settings.__doc__ = (
    "The value of every flag, frozen. Paths are absolute; lists are tuples, "
    "empty for none."
)


_LISTS = [
    spec.name
    for spec in SPECS.values()
    if isinstance(spec.parser, (value_types.ModelFiles, value_types.Choices))
]
# What looks for the files that it names.
_FILES = (
    value_types.ModelFile,
    value_types.ModelFiles,
    value_types.Weights,
)
# Words that absl parses at a time.
_PORTION = 500
# absl's own flag for a file, where its `app` is imported.
_PROFILE = "profile_file"


def define(flag_values: absl_flags.FlagValues = absl_flags.FLAGS) -> None:
    """Defines every flag of this package.

    Args:
        flag_values: where to; a fresh `FlagValues` leaves absl's alone.
    """
    for spec in SPECS.values():
        if spec.parser is None:
            flag = absl_flags.BooleanFlag(spec.name, spec.default, spec.help)
        else:
            flag = absl_flags.Flag(
                spec.parser, None, spec.name, spec.default, spec.help
            )
        absl_flags.DEFINE_flag(flag, flag_values, module_name=__package__)
        # absl's --help lists the flags of the program, which is not here.
        flag_values.register_key_flag_for_module(sys.argv[0], flag)


def settings(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Settings:
    """Returns the parsed flags as a frozen tuple with names."""
    values = {name: flag_values[name].value for name in SPECS}
    for name in _LISTS:
        values[name] = values[name] or ()
    return Settings(**values)


def parse(
    argv: Sequence[str],
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Settings:
    """Parses a command line and refuses what cannot be meant.

    Args:
        argv: the command line, the program's name first. Without a
            `--flagfile` the recipe digits.flags comes before its flags.
        flag_values: where `define` put the flags.

    Returns:
        The settings.

    Raises:
        absl.flags.Error: for an unknown flag or a value out of range.
        ValueError: for a flagfile that cannot be used, and for flags that
            contradict each other or have no meaning.
    """
    return _assign(argv[0], flagfiles.expand(argv[1:]), flag_values)


def parse_or_exit(argv: Sequence[str]) -> list[str]:
    """Parses the command line into absl's flags: `flags_parser` of `app.run`.

    Prints the flagfiles that are used. A command line that is refused ends
    the process with exit code 1 and the reason.

    Args:
        argv: the command line, the program's name first.

    Returns:
        What is left of it: the program's name.
    """
    files: list[pathlib.Path] = []
    try:
        expansion = flagfiles.expand(argv[1:])
        files = expansion.files
        _parse_or_help(argv[0], expansion)
    except (absl_flags.Error, ValueError) as error:
        read = "".join(f"Flagfile read: {file}\n" for file in files)
        text = (
            f"FATAL Flags parsing error: {error}\n{read}"
            "Pass --helpshort or --helpfull to see help on flags.\n"
        )
        sys.stderr.write(printable(text, kept="\n"))
        sys.exit(1)
    for file in files:
        print(f"Flagfile: {printable(os.fspath(file))}")
    return [argv[0]]


def given(argv: Sequence[str]) -> set[str]:
    """The names of this package's flags that a command line gives a value.

    By itself or in a flagfile that it names; the recipe that comes before its
    flags where it names none does not count.

    Args:
        argv: the command line, the program's name first. It can be parsed.
    """
    expansion = flagfiles.expand(argv[1:])
    unnamed = not any(
        word.lstrip("-").partition("=")[0] == "flagfile" for word in argv[1:]
    )
    return {
        name_in(argument.text)
        for argument in expansion.arguments
        if argument.text.startswith("-")
        and not (unnamed and argument.source is not None)
    } & set(SPECS)


def _parse_or_help(program: str, expansion: flagfiles.Expansion) -> None:
    try:
        _assign(program, expansion, absl_flags.FLAGS)
        # absl would fail at it when all is done.
        if _PROFILE in absl_flags.FLAGS:
            check_output_file(_PROFILE, absl_flags.FLAGS[_PROFILE].value)
    except SystemExit:
        # Only absl's --help and its like end the process, with 1 as if a
        # question were a mistake.
        sys.exit(0)


def _assign(
    program: str,
    expansion: flagfiles.Expansion,
    flag_values: absl_flags.FlagValues,
) -> Settings:
    """Parses expanded arguments into `flag_values`."""
    rest = [
        word
        for texts in _portions(expansion.arguments)
        for word in flag_values([program, *texts])[1:]
    ]
    if rest:
        recipe = rest[0] in flagfiles.recipes()
        hint = f" Did you mean --flagfile={rest[0]}?" if recipe else ""
        raise ValueError(
            f"Unexpected argument {rest[0]!r}: a flag is written "
            f"--name=value.{hint}"
        )
    _drop_superseded(expansion.arguments, flag_values)
    if flag_values["workdir"].value is None:
        name = run_name(expansion, settings(flag_values))
        flag_values["workdir"].value = value_types.absolute(f"runs/{name}")
    values = settings(flag_values)
    refuse_contradictions(values)
    return values


def _portions(arguments: Sequence[flagfiles.Argument]) -> Iterator[list[str]]:
    """Cuts a command line into pieces that can be parsed one by one.

    absl copies the rest of a command line for each of its words.
    """
    texts = []
    for argument in arguments:
        texts.append(argument.text)
        # A line of a flagfile holds its value; a word may be before its own.
        if len(texts) >= _PORTION and argument.source is not None:
            yield texts
            texts = []
    yield texts


def _drop_superseded(
    arguments: Sequence[flagfiles.Argument],
    flag_values: absl_flags.FlagValues,
) -> None:
    """Refuses flags without a meaning, or resets them.

    A flagfile's flag that a later one from elsewhere takes the meaning from
    goes back to its default, so that `--flagfile=base.flags
    --graft_criterion=gamma` works where the base sets a slope. Else the user
    contradicts himself.
    """
    position = {
        name_in(argument.text): index
        for index, argument in enumerate(arguments)
        if argument.text.startswith("-")
    }
    for rule in RULES:
        if not rule.applies(settings(flag_values)):
            continue
        cause = position.get(rule.cause, -1)
        for name in rule.names:
            if flag_values[name].using_default_value:
                continue
            index = position[name]
            if (
                cause < index
                or arguments[cause].source == arguments[index].source
            ):
                default = " (the default)" if cause < 0 else ""
                raise ValueError(
                    f"{line_of(name, flag_values[name].value)} has no meaning "
                    f"with {line_of(rule.cause, flag_values[rule.cause].value)}"
                    f"{default}: {rule.reason}. Leave --{name} out, or "
                    f"change --{rule.cause}."
                )
            flag_values[name].unparse()


def refusal(name: str, value: str) -> str | None:
    """Why a text is no value of a flag, or None if it is one.

    Args:
        name: The flag; of one that this version does not have nothing is
            known.
        value: As in a flagfile; of a switch `yes` or `no`. Whether files
            exist is not looked at.
    """
    spec = SPECS.get(name)
    if spec is None or isinstance(spec.parser, _FILES):
        return None
    if spec.parser is None:
        return None if value in ("yes", "no") else "it must be a switch"
    try:
        spec.parser.parse(value)
    except ValueError as error:
        return str(error)
    return None
