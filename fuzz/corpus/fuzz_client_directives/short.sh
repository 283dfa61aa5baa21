#AETHER --gpus 1 --time 30m
#SBATCH --output=%x-%j.out
echo hi
