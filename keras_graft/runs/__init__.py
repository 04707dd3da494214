"""The life of a run.

| module | what it holds |
| --- | --- |
| `exit_codes` | what the process says when it ends |
| `run_directory` | the files of a run, and which run a folder holds |
| `whole_files` | files that are there as a whole or not at all |
| `changed_flags` | which flags may change between two starts |
| `named_errors` | what goes wrong with disks and memory |
| `lock` | one job at a time in a folder |
| `signals`, `interruption` | signals end a run at a good moment |
| `streams` | standard output and error that may be closed under a run |
| `threads` | how several networks share a processor's cores |
| `cluster`, `rendezvous`, `door` | the hosts of a job, and how they meet |
| `teamwork`, `watchdog` | several workers as one run, and no endless wait |
| `strategy` | devices, replicas, precision |
| `run` | a run from its flags to what trains |
| `training` | a run that is ready, to its last epoch |
| `task` | what is of one task alone, and not of every run |
| `classification`, `recognition` | the tasks |
| `recipe`, `recognition_recipe` | settings -> the trainer |
| `networks`, `own_models` | `--model` -> networks; those of one's own |
| `pretrained`, `freezing` | `--weights`, and which layers learn when |
| `optimizers` | settings -> the optimizer of each network |
| `batches` | settings -> images and their batches |
| `callbacks` | settings -> callbacks |
| `trackers` | `--track`: TensorBoard, Weights & Biases, MLflow |
| `resuming`, `run_state` | what a run goes on with, and what is said about it |
| `costs`, `run_plan` | what a run would cost, counted |
| `progress` | one line an epoch, a bar in it |
| `csv_tables` | the tables of a run, written and read |
| `run_logs` | `history.csv` and `coefficients.csv` |
| `image_table` | `images.csv`, and that the images stay the same |
| `given_files` | `given.json`, and that models given stay the same |
| `shipped_mean` | the mean of all networks, where that ships |
| `finish` | the end of a run: what is shipped, and what is said about it |
| `exports`, `export_runtimes` | `--export`: other formats, checked |
| `results`, `retrieval_results` | `results.json` and the closing summary |
| `model_card`, `embedding_card` | `card.md`: what ships, for model hubs |
| `answers`, `answer_sections` | what the shipped network answers, shown |
| `run_report` | `report.html` and its pictures |

Nothing here imports TensorFlow before it is needed.
"""
