"""What opening and decoding a file that is no whole image raises."""

from PIL import Image

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
