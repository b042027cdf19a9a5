// Plotly's own front end has 5 MB, which a slow machine or line takes seconds to read. anywidget gives a widget
// two, and drops whatever is sent to it later; so plotly is read afterwards, once for all figures of a page, and
// is then told what was sent in the meantime.
const SENT = [
  "addTraces", "deleteTraces", "moveTraces", "restyle", "relayout", "update", "animate",
  "removeLayoutProps", "removeTraceProps",
].map((name) => `_py2js_${name}`);

// A page holds back what it tells while the kernel is busy, and then tells the last alone: where the mouse went
// after a click, which nobody here asks for, would replace the click.
const isHover = (name, value) =>
  name === "_js2py_pointsCallback" && /hover$/.test(value?.event_type);

const readPlotly = (source) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return import(url).finally(() => URL.revokeObjectURL(url));
};

// plotly follows the window alone; a cell is made wider or narrower by a side bar as well, has no width before it
// is shown, and a figure that is still being drawn does not hear of it
const follow = (el) => {
  let width = 0, timer = 0;
  const fit = (tries) => {
    const { layout, _fullLayout: drawn } = el;  // of which plotly makes its figure
    if (!tries || !width || layout?.width || (drawn && Math.abs(drawn.width - width) < 1)) return;
    if (drawn) window.dispatchEvent(new Event("resize"));
    timer = setTimeout(fit, 300, tries - 1);
  };
  const observer = new ResizeObserver(([{ contentRect }]) => {
    width = contentRect.width;
    clearTimeout(timer);
    fit(40);
  });
  observer.observe(el);
  return () => { observer.disconnect(); clearTimeout(timer); };
};

export default () => {
  const handlers = {};
  let added = [];
  let missed = [];
  let told = {};
  let figure = null;

  const read = async (model) => {
    globalThis.mattertunePlotly ??= readPlotly(model.get("_plotly"));
    const { default: make } = await globalThis.mattertunePlotly;
    const made = make();
    made.initialize({
      model: {
        get: (name) => (name in told ? told[name] : model.get(name)),
        set: (name, value) => isHover(name, value) || model.set(name, value),
        save_changes: () => model.save_changes(),
        on: (event, handler) => {
          model.on(event, handler);
          (handlers[event] ??= []).push(handler);
          added.push(() => {
            model.off(event, handler);
            handlers[event].splice(handlers[event].indexOf(handler), 1);
          });
        },
      },
    });
    return made;
  };

  // plotly's own view goes on listening after it was removed
  const draw = (made, el) => {
    added = [];
    const remove = made.render({ el });
    const mine = added;
    return () => { mine.forEach((stop) => stop()); remove(); };
  };

  return {
    initialize({ model }) {
      for (const name of SENT) {
        model.on(`change:${name}`, () => {
          if (missed && model.get(name) !== null) missed.push([name, model.get(name)]);
        });
      }
      // everything is told anew
      model.on("change:_widget_data", () => {
        if (missed) missed = [];
      });
    },
    async render({ model, el }) {
      figure ??= read(model);
      const made = await figure;
      let close = draw(made, el);
      const stop = follow(el);
      model.on("change:_widget_data", () => {
        close();
        close = draw(made, el);
      });
      for (const [name, value] of missed ?? []) {
        told = { [name]: value };
        for (const handler of handlers[`change:${name}`]) handler();
      }
      told = {};
      missed = null;
      return () => { stop(); close(); };
    },
  };
};
