const isDark = (element) => {
  // the first background that is not clear, and whether it is nearer to black than to white
  for (let at = element; at; at = at.parentElement) {
    const [r, g, b, a = 1] = (getComputedStyle(at).backgroundColor.match(/[\d.]+/g) || []).map(Number);
    if (a > 0 && r !== undefined) return 0.299 * r + 0.587 * g + 0.114 * b < 128;
  }
  return false;
};

export default { render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "jupyter-button widget-button lm-Widget jupyter-widgets";
  button.style.cssText = "width:auto;padding:0 10px";
  button.textContent = "Full screen";
  button.title = "Show the structure in the full screen; Escape ends it";
  button.addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else el.closest(`.${model.get("box")}`).requestFullscreen();
  });
  const look = () => {
    const dark = isDark(el);
    if (dark !== model.get("dark")) { model.set("dark", dark); model.save_changes(); }
  };
  const theme = new MutationObserver(() => setTimeout(look, 300));
  theme.observe(document.body, { attributes: true });
  requestAnimationFrame(look);
  el.append(button);
  return () => theme.disconnect();
} };
