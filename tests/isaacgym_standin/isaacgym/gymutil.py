"""What MAPush calls of gymutil."""

from . import gymapi


def parse_device_str(device):
    kind, _, index = device.partition(":")
    return kind, int(index or 0)


def parse_sim_config(settings, params):
    for name, value in settings.items():
        if isinstance(value, dict):
            parse_sim_config(value, getattr(params, name))
        else:
            setattr(params, name, gymapi.Vec3(*value) if name == "gravity" else value)
