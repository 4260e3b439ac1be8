// Before anything is drawn, so that a dark page is never white for a moment.
const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
