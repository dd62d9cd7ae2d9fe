"""Prints the local variables of the program's own frames below an uncaught exception's traceback.

Imported by sitecustomize at the start of every Python of this image, virtual environments among them, and then nothing
but a look at one variable of the environment: unless Greenroom set it for a check, nothing is changed. The variable is
taken away, so that programs which the check starts print what they always do.
"""

import os
import sys

VARIABLE = "GREENROOM_PYTHON_LOCALS"
NAMES_MAX = 12
VALUE_CHARS_MAX = 120
CHAIN_MAX = 50
SECRETS = ("password", "passwd", "secret", "token", "api_key", "apikey", "private_key", "credential")
LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python", "<")


def install():
    if os.environ.pop(VARIABLE, "") == "1":
        sys.excepthook = show


def show(kind, error, trace):
    try:
        import traceback

        told = traceback.TracebackException(kind, error, trace)
        add_locals(told, error, CHAIN_MAX)
        text = "".join(told.format())
    except Exception:
        return sys.__excepthook__(kind, error, trace)
    if sys.stderr is not None:
        sys.stderr.write(text)


def add_locals(told, error, left):
    """The frames of a traceback are told in the order in which they stand in it."""
    if told is None or error is None or left == 0:
        return
    trace, told_frames = error.__traceback__, iter(told.stack)
    while trace is not None:
        frame = next(told_frames, None)
        code = trace.tb_frame.f_code
        if frame is None or (frame.filename, frame.name) != (code.co_filename, code.co_name):
            break
        if not any(part in frame.filename for part in LIBRARIES):
            frame.locals = dict(values(trace.tb_frame.f_locals)) or None
        trace = trace.tb_next
    add_locals(told.__cause__, error.__cause__, left - 1)
    add_locals(told.__context__, error.__context__, left - 1)
    for inner, one in zip(getattr(told, "exceptions", None) or (), getattr(error, "exceptions", None) or ()):
        add_locals(inner, one, left - 1)


def values(names):
    import reprlib
    import types

    short = reprlib.Repr()
    short.maxother = short.maxstring = short.maxlong = VALUE_CHARS_MAX
    code = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)
    shown = [item for item in list(names.items()) if not item[0].startswith("__") and not isinstance(item[1], code)]
    for name, value in shown[:NAMES_MAX]:
        if any(secret in name.lower() for secret in SECRETS):
            yield name, "<hidden>"
            continue
        try:
            text = short.repr(value)
        except Exception:
            text = "<unprintable>"
        text = text.replace("\n", "\\n")
        yield name, text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"


install()
