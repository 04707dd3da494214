"""The life of a run.

| module | what it holds |
| --- | --- |
| `exit_codes` | what the process says when it ends |
| `run_directory` | the files of a run, and which run a folder holds |
| `strategy` | devices, replicas, precision |
| `recipe` | settings -> networks, optimizers, data, callbacks |
| `progress` | one bar for the whole run |
| `results` | `results.json` and the closing summary |
| `report` | `report.html` and its pictures |

Nothing here imports TensorFlow before it is needed.
"""
