"""How good a teacher's texts are, task by task, beside a radiologist's or the known English."""
