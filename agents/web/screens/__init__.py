"""The screens of the page, in the order of its navigation: a new one is a file and a line here."""

from __future__ import annotations

from agents.web.screens.alerts import Alerts
from agents.web.screens.features import Features
from agents.web.screens.fleet import Fleet
from agents.web.screens.model import Model
from agents.web.screens.pipeline import Pipeline
from agents.web.screens.resources import Resources
from agents.web.screens.screen import Screen
from agents.web.screens.segments import Segments

CATALOGUE: dict[str, Screen] = {
    screen.name: screen
    for screen in (
        Fleet(),
        Model(),
        Alerts(),
        Features(),
        Segments(),
        Resources(),
        Pipeline(),
    )
}
