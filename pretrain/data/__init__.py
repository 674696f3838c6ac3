"""What pretraining reads: image folders, lists, and the embedded scenes."""
