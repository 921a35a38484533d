"""Pictures and arrays on disk: PNG, JPEG, TIFF and NPY.

What each format means:

- **PNG, JPEG**: grey is ``yx``, colour is ``yxc``; 8 or 16 bits per sample, for colour as well. A palette
  becomes the colours it names; grey of 1, 2 or 4 bits is scaled to 0..255. Alpha is one more channel, not
  premultiplied; a single transparent colour is ignored. The EXIF orientation is applied, so y and x are the
  directions a viewer shows; what is written carries no EXIF.
- **TIFF**: axes are the letters of the OME, ImageJ or tifffile metadata, in lower case, ``c`` for samples.
  Two axes are ``yx``. More than two without metadata are ambiguous: `Picture.axes` is None then. Pixel
  sizes and other metadata are not carried over.
- **NPY**: axes have no letters. Files with Python objects are never unpickled.

Reading is bounded: at most ``max_bytes`` are decoded at once. Writing is atomic: a file appears complete
under its name, or not at all.
"""

from faltung.files.picture import MAX_BYTES, Picture
from faltung.files.reading import open_picture, read
from faltung.files.writing import check, write, write_blocks

__all__ = ["MAX_BYTES", "Picture", "check", "open_picture", "read", "write", "write_blocks"]
