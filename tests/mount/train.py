"""A small PyTorch training job, as people write them: it knows directories, and nothing of lineagefs.

train.py DATA OUTPUT: reads DATA/*.pt with a data loader of several workers, writes a checkpoint of
each epoch to OUTPUT/checkpoint-<n>.pt, and OUTPUT/model.pt at the end.
"""
import glob
import os
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Shards(Dataset):
    """One example a file."""

    def __init__(self, directory):
        self.files = sorted(glob.glob(os.path.join(directory, "*.pt")))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        example = torch.load(self.files[index])
        return example["x"], example["y"]


def main():
    data, output = sys.argv[1:]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    loader = DataLoader(Shards(data), batch_size=8, num_workers=3, shuffle=True)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    os.makedirs(output, exist_ok=True)
    for epoch in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        torch.save({"model": model.state_dict(), "epoch": epoch}, os.path.join(output, f"checkpoint-{epoch}.pt"))
        print(f"epoch {epoch} loss {loss.item():.4f}", flush=True)
    torch.save(model.state_dict(), os.path.join(output, "model.pt"))


main()
