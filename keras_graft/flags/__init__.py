"""Every flag of the command line, without Keras and TensorFlow.

| module | what it holds |
| --- | --- |
| `definitions`, `data_group`, `optimisation` | what flags there are |
| `method`, `recognition_group` | those of grafts, distillation, recognition |
| `spec` | what is said of one |
| `rules` | which of them others make meaningless |
| `contradictions` | which cannot hold together |
| `value_types` | what a flag's value may be |
| `flagfiles` | where a flagfile is found, and what it includes |
| `command_line` | how a command line is read, and what is refused |
| `writing` | a flag as a line, all of them as a flagfile or a table |

A command module calls `define()` and hands `parse_or_exit` to absl:

    flags.define()
    app.run(main, flags_parser=flags.parse_or_exit)

and `main` reads `flags.settings()`. What is wrong with a command line is said
here, in a blink, before anything heavy is imported or any folder is made.
"""

from keras_graft.flags.command_line import FlagValues
from keras_graft.flags.command_line import Settings
from keras_graft.flags.command_line import define
from keras_graft.flags.command_line import given
from keras_graft.flags.command_line import parse
from keras_graft.flags.command_line import parse_or_exit
from keras_graft.flags.command_line import refusal
from keras_graft.flags.command_line import settings
from keras_graft.flags.writing import flags_text
from keras_graft.flags.writing import table

__all__ = [
    "FlagValues",
    "Settings",
    "define",
    "flags_text",
    "given",
    "parse",
    "parse_or_exit",
    "refusal",
    "settings",
    "table",
]
