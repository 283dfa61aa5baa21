#!/bin/bash
#SBATCH --job-name=train
#SBATCH --gres=gpu:2
#SBATCH -t 01:00:00
#SBATCH --array=0-9%2
#AETHER --retries 3

srun python train.py
