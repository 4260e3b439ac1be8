"""``driftline web``: the page on the history.

Read in this order: `screens.screen` (what a screen is), `screens` (the catalogue), `known` (what
was known of windows at a time), `board` (every model in a line, kept up to date), `history` (where
the history is, and that it may be away), `guard` (who may ask), `server`, `run`.

**A screen is added** by two files and two lines:

1. `screens/NAME.py`: a `Screen` whose `asks` is a Struct of what its address may say (bounds in the
   types; all have defaults) and whose `answer` makes an `Answer` of a `View`: panels, which are
   tables with named columns and become CSV as they are, and facts, which are anything else. A line
   in `screens.CATALOGUE`, in the order of the navigation.
2. `static/NAME.js`, which exports `draw(place, answer, page)`: it fills the element `place`.
   Elements are made by `el` of `dom.js`, whose children are text nodes, so that nothing of a topic
   is ever markup; charts by `chart.js`; tables by `table.js`; numbers and times by `format.js`. A
   line in `static/screens.js`.

The address of a view is ``#/NAME?parameters``: the parameters are what the screen asks, as they
are, and ``at`` (as of) and ``since``, which all have. ``page.go({...})`` changes some of them.
``/api/NAME?parameters`` answers in JSON, ``/csv/NAME/PANEL?parameters`` in CSV.

There is no build step: the browser loads these modules as they are. Styles are classes in
`static/style.css`; the policy of the page refuses inline ones, but for those that scripts set
(``element.style``).
"""
