#!/bin/bash
# Runs a job file on one node of a Slurm cluster: sbatch slurm-nightly.sh nightly.toml
#
# Every night, where the cluster has scrontab (Slurm 20.11 or later); `scrontab -e`, then
#
#   #SCRON --job-name=sawlog-nightly
#   #SCRON --cpus-per-task=8
#   #SCRON --mem=4G
#   #SCRON --time=02:00:00
#   17 3 * * * /path/to/slurm-nightly.sh /path/to/nightly.toml
#
# Elsewhere the job orders the next night itself: NIGHTLY_AT=03:17 sbatch slurm-nightly.sh FILE.
#
#SBATCH --job-name=sawlog-nightly
#SBATCH --dependency=singleton
#SBATCH --cpus-per-task=8
#SBATCH --mem=4G
#SBATCH --time=02:00:00
#SBATCH --output=sawlog-nightly-%j.log

set -u
file=$(realpath -- "${1:?which job file?}")

# First: whatever becomes of this night, there is a next one.
if [ -n "${NIGHTLY_AT:-}" ] && [ -n "${SLURM_JOB_ID:-}" ]; then
  script=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=\([^ ]*\).*/\1/p')
  # Begins are of today or, where that is past, of tomorrow.
  sbatch --begin="$NIGHTLY_AT" --export=ALL "$script" "$file"
fi

# The exit code is the job's: 3 damage, 4 an alert. `sacct --state=FAILED` lists such nights, and
# --mail-type=FAIL tells somebody.
exec "${SAWLOG:-sawlog}" run "$file" --workers "${SLURM_CPUS_PER_TASK:-1}" --no-progress
