"""How webhooks are written: a new template is a file and a line here."""

from agents.sinks.templates import pagerduty, plain, slack, teams
from agents.sinks.templates.template import Template

TEMPLATES: dict[str, Template] = {
    "plain": plain.TEMPLATE,
    "slack": slack.TEMPLATE,
    "pagerduty": pagerduty.TEMPLATE,
    "teams": teams.TEMPLATE,
}
