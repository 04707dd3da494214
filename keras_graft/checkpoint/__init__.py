"""`RunCheckpoint`: a run that was killed goes on where it was.

| module | what it holds |
| --- | --- |
| `files` | checkpoints on disk: whole, verified, two kept |
| `manifest`, `array_file` | what a checkpoint's files must be |
| `training_state`, `callback_states` | what is in a checkpoint |
| `strict_json`, `state_schema` | the form that it must have to be read |
| `run_checkpoint` | `RunCheckpoint`, which saves and restores |
| `ownership` | what may be removed from a folder, and what may be others' |
| `compiled_rates` | which rate counts where a run is compiled with another |
| `backups` | the same in the place of Keras' `BackupAndRestore` |
| `versions` | what the last bits of a result depend on |

`files` imports neither Keras nor TensorFlow.
"""
