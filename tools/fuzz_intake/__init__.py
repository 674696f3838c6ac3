"""Damage checkpoint files of every format and see whether anything wrong is ever certified.

    python -m tools.fuzz_intake --cases 2000 --log fuzz.jsonl

Each case builds a file as a code base saves it, damages it in one way, and converts it. It is a violation when anything
but a DensebenchError of one sentence comes out, when code in the file runs, and when a backbone is certified whose
tensors and feature maps are not those of the torchvision or timm network that holds, strictly loaded, the tensors of
that same file.
"""
