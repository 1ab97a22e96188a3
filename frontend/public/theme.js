// Runs before the page is drawn, so that a chosen theme shows without a flash; without a choice the system decides.
try {
  const chosen = localStorage.getItem("paceline.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden; the system's theme is then right.
}
