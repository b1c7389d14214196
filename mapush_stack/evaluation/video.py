"""Recordings and still frames of a performance as files."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from ..errors import UserError
from ..system.atomic import check_writable, scratch_directory
from .camera import Film
from .performance import Shot

_VIDEO_PACKAGES = "pip install 'mapush_stack[video]'"
Frames = Iterable[np.ndarray]
"""Pictures `[height, width, 3]` uint8."""


def check_output(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse a file that could not be written.

    Raises:
        UserError: it has another suffix, its folder is missing or not writable, or a package is missing.

    """
    check_writable(path, suffixes)
    if path.suffix.lower() == ".mp4":
        _ffmpeg()
    else:
        _pillow()


def record(
    film: Film, shots: List[Shot], path: Path, fps: int, size: Tuple[int, int], progress: Callable[[Frames], Frames]
) -> None:
    """Write `shots` to an .mp4 or .gif of `size`, width and height in pixels; `path` appears when it is complete.

    `progress` passes the frames on, one by one, and may show how many are done.

    Raises:
        UserError: the file cannot be written.

    """
    with _finished_file(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _write_mp4(progress(film.frames(shots, fps)), temporary, fps, size)
        else:
            hundredths = max(2, round(100 / fps))  # the unit of the format; browsers play below 2 slowly
            palette = _palette(film.stills(shots, range(len(shots) // 10, len(shots), max(1, len(shots) // 6))))
            _write_gif(progress(film.frames(shots, 100 / hundredths)), temporary, 10 * hundredths, palette)


def save_stills(film: Film, shots: List[Shot], paths: Sequence[Path]) -> None:
    """Write three PNGs of the first episode: its start, its middle, and its end.

    Raises:
        UserError: a file cannot be written.

    """
    first = [shot for shot in shots if shot.episode == 0]
    running = sum(shot.mood == "pushing" for shot in first)
    image = _pillow()
    for path, frame in zip(paths, film.stills(first, (0, int(0.6 * running), len(first) - 1))):
        with _finished_file(path) as temporary:
            image.fromarray(frame).save(str(temporary), optimize=True)


def _write_mp4(frames: Frames, path: Path, fps: int, size: Tuple[int, int]) -> None:
    """H.264 with 4:2:0 chroma and the index in front, which every browser plays."""
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "-"]
    codec = ["-an", "-c:v", "libx264", "-preset", "fast", "-crf", "20", "-pix_fmt", "yuv420p"]
    colours = ["-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709"]
    command = [_ffmpeg(), "-v", "error", "-y", *source, *codec, *colours, "-movflags", "+faststart", str(path)]
    with (path.parent / "log").open("w+") as log:
        # A session of its own, so that Ctrl-C reaches only this process, which then ends ffmpeg.
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        try:
            assert encoder.stdin is not None
            with encoder.stdin as pipe:
                for frame in frames:
                    pipe.write(frame.data)
            code: Optional[int] = encoder.wait()
        except BrokenPipeError:
            code = encoder.wait()
        except BaseException:
            encoder.kill()
            encoder.wait()
            raise
        log.seek(0)
        if code:
            raise UserError(f"ffmpeg failed: {log.read().strip() or f'exit code {code}'}")


def _palette(frames: Frames) -> Any:
    """An image with 256 colours for all `frames`."""
    return _pillow().fromarray(np.concatenate([frame[::2, ::2] for frame in frames])).quantize(256)


def _write_gif(frames: Frames, path: Path, milliseconds: int, palette: Any) -> None:
    """A GIF that repeats; one palette for all frames, so that still parts of the picture do not flicker."""
    image = _pillow()
    pictures = (image.fromarray(frame).quantize(palette=palette, dither=image.Dither.NONE) for frame in frames)
    first = next(pictures)
    first.save(str(path), save_all=True, append_images=pictures, duration=milliseconds, loop=0, optimize=False)


def _ffmpeg() -> str:
    """The ffmpeg of the package imageio-ffmpeg.

    Raises:
        UserError: it is not installed.

    """
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise UserError(f"an .mp4 needs imageio-ffmpeg: {_VIDEO_PACKAGES}") from None


def _pillow() -> Any:
    """The module `PIL.Image`.

    Raises:
        UserError: it is not installed.

    """
    try:
        from PIL import Image
    except ImportError:
        raise UserError(f"a .gif or .png needs Pillow: {_VIDEO_PACKAGES}") from None
    return Image


@contextmanager
def _finished_file(path: Path) -> Iterator[Path]:
    """A temporary file that becomes `path` if the block ends without an exception.

    It is in the system's temporary folder: even a killed process leaves nothing beside `path`, and the next one
    removes what it has left there.

    Raises:
        UserError: it cannot be written.

    """
    try:
        with scratch_directory(Path(tempfile.gettempdir())) as folder:
            temporary = folder / path.name
            yield temporary
            with scratch_directory(path.parent) as beside:
                copy = beside / path.name
                shutil.copyfile(str(temporary), str(copy))
                copy.chmod(0o644)
                copy.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
