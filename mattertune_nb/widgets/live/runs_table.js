// A table of runs: sorted and filtered in the page, so that hundreds of runs take one message.
const PAGE = 50;
// words have a line of their own below a run's numbers, which fit a laptop's cell then without scrolling
const IN_WORDS = ["verdict", "settings", "note"];
const NONE = "–";
// a number stays with its unit, and a unit in one piece
const joined = (text) => text.replace(/(\d) (m?eV|Å)/g, "$1\u00a0$2").replace(/(m?eV)\/(Å|atom)/g, "$1/\u2060$2");

// JupyterLab takes single keys as commands; those with Ctrl, such as to save, are for it
const typed = (event) => { if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); };

function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// a long name goes on in the next line behind one of its marks
const named = (text) => {
  const shown = element("div");
  for (const part of text.split(/(?<=[_/])/)) shown.append(part, element("wbr"));
  return shown;
};

const empty = (x) => x === null || x === undefined || x === "";

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

function render({ model, el }) {
  let { column, falling, filter } = model.get("order");
  let shown = PAGE, asking = null;
  // a page that is reloaded shows them as before
  const keep = () => { model.set("order", { column, falling, filter }); model.save_changes(); };
  const find = element("input", { type: "search", placeholder: "Filter, e.g. li finished", value: filter });
  find.setAttribute("aria-label", "Filter runs");
  const count = element("span", { className: "mt-runs-count" });
  const message = element("div", { className: "mt-runs-message" });
  message.setAttribute("role", "status");
  const table = element("table");
  const more = element("button", { textContent: "Show more" });
  el.classList.add("mt-runs");
  const frame = element("div", { className: "mt-runs-frame" }, [table]);
  el.append(element("div", { className: "mt-runs-bar" }, [find, count]), message, frame, more);

  const send = (action, run, text = "") => model.send({ action, run, text });

  function button(text, label, act, disabled = false) {
    const made = element("button", { textContent: text, title: label, disabled, onclick: act });
    made.setAttribute("aria-label", label);
    return made;
  }

  function heading(name, arrow, act) {
    const made = button(name, `Sort by ${name}`, act);
    const at = name.lastIndexOf(" (");
    if (at > 0) {
      const unit = element("span", { className: "mt-runs-unit", textContent: name.slice(at + 1) });
      made.replaceChildren(name.slice(0, at + 1), unit);
    }
    made.append(arrow);
    return made;
  }

  function asked(row) {
    const stop = () => { asking = null; draw(); };
    if (asking.action === "delete") {
      return [
        element("span", { textContent: "Delete with its weights? " }),
        button("Delete", `Delete ${row.run} for good`, () => { asking = null; send("delete", row.run); draw(); }),
        button("Keep", `Keep ${row.run}`, stop),
      ];
    }
    // what is typed outlives rows that are read anew meanwhile
    asking.text ??= asking.action === "rename" ? row.run : row.note;
    const text = element("input", { value: asking.text });
    text.oninput = () => { asking.text = text.value; };
    text.setAttribute("aria-label", `${asking.action} ${row.run}`);
    const act = () => { const { action } = asking; asking = null; send(action, row.run, text.value); draw(); };
    text.onkeydown = (event) => {
      typed(event);
      if (event.key === "Enter") act();
      if (event.key === "Escape") stop();
    };
    return [text, button("OK", `Save for ${row.run}`, act), button("Cancel", "Cancel", stop)];
  }

  function actions(row) {
    if (asking && asking.run === row.run) return asked(row);
    const ask = (action) => () => {
      asking = { run: row.run, action };
      // what was said about the action before is over
      model.set("message", "");
      model.save_changes();
      draw();
      focus({ label: `${action} ${row.run}` });
    };
    const why = row.active ? " (the run is training)" : "";
    return [
      button("Open", `Open the dashboard of ${row.run}`, () => send("open", row.run)),
      button("Rename", `Rename ${row.run}${why}`, ask("rename"), row.active),
      button("Note", `Note about ${row.run}`, ask("note")),
      button("Delete", `Delete ${row.run}${why}`, ask("delete"), row.active),
    ];
  }

  // what a config calls a setting is told where one points at what people call it
  const settings = (row) => row.settings.flatMap(([text, name], i) => [
    i ? ", " : "", element("span", { textContent: joined(text), title: `In a config: ${name}` }),
  ]);

  function draw() {
    const columns = model.get("columns");
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    let rows = model.get("table").filter((row) => {
      // a setting is found by what a config calls it as well
      const names = row.settings.map(([, name]) => name);
      const text = [...columns.map((c) => row.cells[c]), ...names].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (column !== null) {
      // runs without a value come last either way
      rows = [...rows].sort(({ keys: { [column]: a } }, { keys: { [column]: b } }) =>
        empty(a) || empty(b) ? empty(a) - empty(b) : (falling ? -1 : 1) * compare(a, b));
    }
    count.textContent = `${rows.length} of ${model.get("table").length} runs`;
    more.style.display = rows.length > shown ? "" : "none";
    // a column of which no run has a value takes no room
    const told = (name) => !rows.length || rows.some((row) => !["", NONE].includes(row.cells[name]));
    const numbers = columns.filter((name) => !IN_WORDS.includes(name) && told(name));
    const numeric = new Set(numbers.filter((name) => rows.some((row) => typeof row.keys[name] === "number")));
    const head = numbers.map((name) => {
      const sorted = name === column;
      const cell = element("th", {}, [
        heading(name, sorted ? (falling ? " ▾" : " ▴") : "", () => {
          falling = sorted ? !falling : false;
          column = name;
          keep();
          draw();
        }),
      ]);
      cell.dataset.column = name;
      cell.dataset.numeric = numeric.has(name);
      cell.setAttribute("aria-sort", sorted ? (falling ? "descending" : "ascending") : "none");
      return cell;
    });
    const body = rows.slice(0, shown).map((row) => {
      const cells = numbers.map((name) => {
        const cell = element("td", { title: row.cells[name] }, [named(row.cells[name])]);
        cell.dataset.column = name;
        cell.dataset.numeric = numeric.has(name);
        return cell;
      });
      const inWords = IN_WORDS.filter((name) => columns.includes(name)).map((name) => {
        const words = row.cells[name];
        const text = element("div", { textContent: name === "verdict" ? joined(words) : `${name}: ${words}` });
        if (name === "settings") text.replaceChildren("settings: ", ...settings(row));
        text.dataset.column = name;
        text.hidden = ["", NONE].includes(words);
        return text;
      });
      const below = element("td", { colSpan: numbers.length }, [
        element("div", { className: "mt-runs-below" }, [
          element("div", { className: "mt-runs-words" }, inWords),
          element("div", { className: "mt-runs-actions" }, actions(row)),
        ]),
      ]);
      const run = element("tbody", {}, [element("tr", {}, cells), element("tr", {}, [below])]);
      run.dataset.tone = row.tone;
      run.dataset.active = row.active;
      return run;
    });
    const place = focused();
    table.replaceChildren(element("thead", {}, [element("tr", {}, head)]), ...body);
    focus(place);
  }

  // who goes by keyboard stays where they are in rows that are read anew
  function focused() {
    const at = document.activeElement;
    return table.contains(at) && { label: at.ariaLabel, start: at.selectionStart, end: at.selectionEnd };
  }

  function focus({ label, start, end }) {
    const at = label && [...table.querySelectorAll("button, input")].find((one) => one.ariaLabel === label);
    if (!at) return;
    at.focus({ preventScroll: true });
    if (start !== undefined) at.setSelectionRange(start, end);
  }

  // what is pressed stays until it is let go of, as a click counts only where it began
  let held = false, due = false;
  const renew = () => { due = held; if (!held) draw(); };
  const release = () => setTimeout(() => { held = false; if (due) renew(); });
  el.addEventListener("pointerdown", () => { held = true; });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) el.addEventListener(end, release);

  find.oninput = () => { filter = find.value; shown = PAGE; keep(); draw(); };
  find.onkeydown = typed;
  more.onclick = () => { shown += PAGE; draw(); };
  const tell = () => {
    message.textContent = model.get("message");
    message.dataset.error = model.get("table").length > 0;
  };
  model.on("change:table", renew);
  model.on("change:message", tell);
  tell();
  draw();
}

export default { render };
