"""Does it help? Arms x seeds on one dataset, one resumable job, a report.

    python -m keras_graft.compare --flagfile=results/core.flags --data_dir=DIR

| module | what it holds |
| --- | --- |
| `arms` | what is compared: each arm is flags over the study's own |
| `study` | arms x seeds -> runs with their folders and flags |
| `runner` | does what is left to do, and keeps a record of each run |
| `hands` | several processes at one study: who does which run |
| `measure` | a finished run's networks -> what its records say |
| `records` | one arm, one seed: the record, and its file |
| `statistics` | means, paired differences, calibration |
| `outcomes` | what is kept of each run, and of the study as a whole |
| `study_plan` | what a study costs before it starts, and what is left |
| `primary` | the comparisons that the plan named first |
| `summary`, `figure`, `study_report` | table, picture, `report.html` |
| `tables` | tables of results/README.md and figures from `results/*.json` |

With `--hours=H` it chooses what fits, and says in the end what to use:

| module | what it holds |
| --- | --- |
| `hours`, `pace` | what fits, and how fast the machine is |
| `planning`, `plan_file` | the plan: made, kept, changed by a person |
| `budget` | what is left of the hours |
| `judgement` | which arm to use: chosen on validation, judged on test |
| `advice`, `page` | what is said about it, as Markdown and HTML |
"""
