// A field shows the start of what it holds, and a long path differs from others at its end. No event tells of a
// value that the kernel sets, so that each field is looked at now and then.
const SECONDS = 0.3;
const shown = new WeakMap();

const look = () => {
  for (const field of document.querySelectorAll(".mt-path input")) {
    if (field === document.activeElement) {
      // a person who types scrolls it
      shown.delete(field);
      continue;
    }
    const now = `${field.clientWidth} ${field.value}`;
    if (shown.get(field) === now) continue;
    field.scrollLeft = field.scrollWidth;
    field.title = field.value;
    shown.set(field, now);
  }
};

export default {
  initialize() {
    const timer = setInterval(look, 1000 * SECONDS);
    return () => clearInterval(timer);
  },
  render({ el }) {
    el.style.display = "none";
  },
};
