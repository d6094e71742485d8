"""`cancernet doctor`: whether this machine and this installation can run CancerNet, and what to repair."""
