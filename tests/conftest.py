"""Settings that hold for every test."""

import os

import torch

# Tiny models are far slower on several threads than on one; started processes take it from the environment.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
