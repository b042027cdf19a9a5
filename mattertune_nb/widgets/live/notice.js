// Tells a person who looks elsewhere that a run has ended: by the title of the browser's tab until the
// page is seen again, and by the browser's own notification where that was allowed.
const SEEN = ["pointermove", "pointerdown", "keydown", "wheel", "focus"];
const allowed = () => ("Notification" in window && isSecureContext ? Notification.permission : "none");

function title(text) {
  const told = window.mattertuneTitle;
  const own = document.title;
  document.title = text;
  if (told) {
    told.text = text;
    return;
  }
  // one for the page: each widget reads this file for itself
  const kept = (window.mattertuneTitle = { text, own });
  const back = (event) => {
    if (document.hidden || !event.isTrusted) return;
    for (const name of SEEN) window.removeEventListener(name, back, true);
    document.removeEventListener("visibilitychange", back);
    // JupyterLab may have written another meanwhile
    if (document.title === kept.text) document.title = kept.own;
    delete window.mattertuneTitle;
  };
  for (const name of SEEN) window.addEventListener(name, back, true);
  document.addEventListener("visibilitychange", back);
}

function initialize({ model }) {
  const tell = ({ headline, body, run }) => {
    title(headline);
    if (allowed() !== "granted" || document.hasFocus()) return;
    // one, however many pages of the kernel are open
    const shown = new Notification(headline, { body, tag: `mattertune-${run}` });
    shown.onclick = () => { window.focus(); shown.close(); };
  };
  model.on("msg:custom", tell);
  return () => model.off("msg:custom", tell);
}

function render({ el }) {
  const bell = document.createElement("button");
  const words = {
    default: ["fa-bell-o", "Tell me when the run ends"],
    granted: ["fa-bell", "The browser tells you when the run ends"],
    denied: ["fa-bell-slash-o", "Notifications are blocked in the settings of the browser"],
  };
  const draw = () => {
    const found = words[allowed()];
    bell.hidden = !found;
    if (!found) return;
    bell.className = "jupyter-button widget-button";
    bell.innerHTML = `<i class="fa ${found[0]}" aria-hidden="true"></i>`;
    bell.title = found[1];
    bell.setAttribute("aria-label", found[1]);
    bell.disabled = allowed() !== "default";
  };
  bell.onclick = async () => { await Notification.requestPermission(); draw(); };
  bell.style.width = "36px";
  el.style.width = "auto";
  draw();
  el.append(bell);
}

export default { initialize, render };
