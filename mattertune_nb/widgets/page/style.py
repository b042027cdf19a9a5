"""The look of forms: one style sheet, in the colours of the reader's theme."""

from __future__ import annotations

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.unbroken import grouped, unbroken

LABEL_WIDTH = "172px"

_ARROW = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath "
    "fill='%23ccc' d='M5.2 5.9 9 9.7l3.8-3.8L14 7.1l-5 4.9-5-4.9z'/%3E%3C/svg%3E"
)
PAGE_STYLE = f"""
:is(.mattertune-live, .mt-run-form) .jupyter-widgets-disconnected::before {{ display: none; }}
.jp-WindowedPanel-outer:has(.mt-form:hover, .mt-form:focus-within, .mattertune-live:hover,
  .mattertune-live:focus-within) {{ overflow-anchor: none; }}
[data-jp-theme-light="false"] .widget-dropdown > select {{ color-scheme: dark;
  background-image: url("{_ARROW}"); }}
[data-jp-theme-light="false"] .widget-dropdown > select option {{
  background: var(--jp-layout-color1, #222); color: var(--jp-ui-font-color1, #eee); }}
"""
"""Style needed by every view.

Browsers keep the visible cell below in place, so a button moves when a view becomes longer or shorter; this
is disabled while the pointer or focus is in the view. In a dark theme the arrow of ipywidgets' drop-downs is
black. When a kernel is gone JupyterLab puts a mark before each part of a view; the view's own mark is enough.
"""

STYLE = (
    f"<style>{PAGE_STYLE}</style>"
    + """<style>
.mt-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(420px, 100%), 1fr));
  gap: 2px 20px; align-items: start; width: 100%; overflow: visible; }
.mt-grid > .mt-wide, .mt-grid > .mt-message { grid-column: 1 / -1; }
.mt-form, .mt-field { width: 100%; overflow: visible; }
.mt-field { flex-flow: row wrap; align-items: center; }
.mt-field > .mt-control { flex: 1 1 0; min-width: 0; width: auto; max-width: calc(100% - 104px); }
.mt-field > .mt-control.widget-checkbox { flex: 0 1 auto; }
.mt-field > .mt-beside { flex: 0 0 auto; width: auto; min-width: 76px; }
.mt-field > .mt-set { flex: 0 0 48px; width: 48px; }
.mt-field > .mt-mark { flex: 0 0 24px; width: 24px; }
.mt-beside, .mt-mark, .mt-set { margin: 0 0 0 2px; }
.mt-mark .mt-unit { display: none; }
.mt-beside .widget-html-content { display: flex; gap: 4px; margin-right: 4px;
  align-items: center; font-size: 12px; }
.mt-unit { opacity: .8; white-space: nowrap; }
.mt-set .widget-label-basic { font-size: 0; margin: 0; padding: 0; }
.mt-set .widget-label-basic > span::after { content: 'set'; font-size: 12px; }
.mt-line { align-items: center; overflow: visible; }
.mt-line > .widget-html { margin: 0 4px; }
.mt-help ~ .mt-note { margin-left: 6px; }
.mt-line > .mt-add { flex: 0 0 auto; }
button.mt-undo { flex: 0 0 22px; width: 22px; height: 22px; padding: 0; line-height: 22px;
  font-size: 11px; background: none; color: var(--jp-brand-color1, #1976d2); margin: 0; }
.mt-changed > .mt-control > .widget-label::before, .mt-changed > .mt-line > :first-child::before {
  content: '●'; font-size: 9px; margin-right: 5px; color: var(--jp-brand-color1, #1976d2); }
button.mt-help { width: 16px; height: 16px; padding: 0; border-radius: 50%; cursor: help;
  border: 1px solid currentColor; background: none; color: var(--jp-ui-font-color2, #757575);
  font: 600 11px/13px var(--jp-ui-font-family, sans-serif); flex: 0 0 16px; }
button.mt-help:hover, button.mt-help:focus { color: var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
.mt-tip { position: fixed; inset: auto; margin: 0; width: max-content; max-width: 380px;
  padding: 6px 10px; box-sizing: border-box; font-size: 12px; line-height: 1.4; white-space: normal;
  color: var(--jp-ui-font-color1, #212121); background: var(--jp-layout-color1, #fff);
  border: 1px solid var(--jp-border-color1, #999); border-radius: 3px;
  box-shadow: 0 2px 8px rgb(0 0 0 / 30%); }
.mt-tip p { margin: 3px 0 0 0; }
.mt-tip code { background: none; color: inherit; padding: 0; font-size: 11px; }
.mt-field > .mt-field, .mt-field > .mt-form, .mt-field > .mt-message { flex: 1 1 100%; }
.mt-grid > .mt-choice { grid-column: 1 / -1; }
.mt-choice > .mt-control { max-width: min(370px, calc(100% - 104px)); }
.mt-with-value > .mt-control { max-width: min(370px, calc(100% - 146px)); }
.mt-with-value > .mt-field { flex: 0 0 92px; width: 92px; }
.mt-with-value > .mt-field > .mt-control { width: 100%; max-width: 100%; }
.mt-form .mt-field > .mt-form { border-left: 3px solid var(--jp-border-color2, #bbb);
  margin: 2px 0 6px 8px; padding-left: 10px; }
.mt-nested > .mt-field > .mt-form { border-left: none; margin: 0; padding: 0; }
.mt-hidden-label > label, .mt-hidden-text { position: absolute; width: 1px; height: 1px;
  overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.mt-nested { border-left: 3px solid var(--jp-border-color2, #bbb); margin: 2px 0 8px 8px;
  padding-left: 10px; overflow: visible; }
.mt-nested.mt-closed { display: none; }
.mt-field > .mt-kind { max-width: 460px; }
.mt-alert { white-space: pre-wrap; line-height: 1.35; }
.mt-text textarea { font-family: var(--jp-code-font-family, monospace); font-size: 12px; }
.mt-text label { align-self: flex-start; }
.mt-error { font-size: 12px; line-height: 1.35;
  margin: -2px 0 4px 180px; white-space: normal; }
.mt-form > .widget-html .mt-error { margin-left: 0; }
.mt-heading { font-weight: 600; margin-top: 8px;
  border-bottom: 1px solid var(--jp-border-color2, #bbb); }
.mt-note { font-size: 12px; line-height: 1.4; opacity: .85; white-space: normal; }
.mt-diff td { padding: 0 10px 0 0; text-align: left; font-size: 12px; line-height: 1.5; }
.mt-ask { width: 100%; max-width: 640px; }
.mt-add { align-self: flex-start; width: auto; padding: 0 14px; }
.mt-form .widget-label { white-space: normal; line-height: 1.15; display: flex; align-items: center;
  justify-content: flex-end; text-align: right; height: auto;
  min-height: var(--jp-widgets-inline-height, 28px); }
.mt-form select, .mt-form select option { color: var(--jp-ui-font-color1, inherit);
  background-color: var(--jp-layout-color1, Field); }
.mt-section { width: auto; min-width: 168px; text-align: left; background: none; }
.mt-closed, .mt-miss { display: none !important; }
.mt-run-form .widget-tab > .lm-TabBar .lm-TabBar-tab { min-width: max-content; }
.mt-run-form { overflow: visible; min-width: 0; container-type: inline-size; }
.mt-start { position: sticky; top: 0; z-index: 5; align-items: center; gap: 4px; padding: 4px 0;
  background: var(--jp-layout-color0, white); border-bottom: 1px solid var(--jp-border-color2, #bbb); }
.jp-OutputArea:has(.mt-run-form), .jp-OutputArea-child:has(.mt-run-form),
.jp-OutputArea-output:has(.mt-run-form), .jp-Cell-outputWrapper:has(.mt-run-form),
.jp-Cell:has(.mt-run-form) { overflow: visible !important; min-width: 0; }
.mt-start-text { flex: 1 1 auto; min-width: 0; overflow: visible; padding-left: 8px;
  min-height: 62px; justify-content: center; }
.mt-start-text:has(.mt-alert) > .mt-estimate, .mt-run-form:has(.mt-error) .mt-estimate { display: none; }
.mt-tools { flex-flow: row wrap; align-items: center; gap: 0 12px; overflow: visible; }
.mt-file > .mt-control { flex: 1 1 300px; width: auto; max-width: none; }
.mt-file > .mt-row, .mt-file > .mt-chooser { flex: 1 1 100%; }
.mt-chooser { margin: 0 0 6px 180px; width: auto; min-width: 0; max-width: 620px; }
.mt-chooser select { min-width: 0; }
.mt-chooser > .widget-hbox { flex-wrap: wrap; }
.mt-contents { margin: 0 0 4px 180px; width: auto; overflow: visible; }
.mt-facts { font-size: 13px; line-height: 1.5; white-space: normal; }
.mt-none { opacity: .65; }
.mt-split { max-width: 620px; margin: 4px 0 6px 180px; }
.mt-bar { display: flex; gap: 1px; height: 10px; border-radius: 3px; overflow: hidden; }
.mt-legend { display: flex; flex-wrap: wrap; gap: 0 16px; font-size: 12px; line-height: 1.6; }
.mt-legend i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 5px; }
.mt-card { display: grid; grid-template-columns: repeat(2, max-content minmax(0, 1fr)); gap: 1px 12px;
  margin: 2px 0 4px 24px; font-size: 13px; line-height: 1.5; white-space: normal; }
.mt-card > i { font-style: normal; opacity: .7; }
.mt-property { width: 100%; align-items: flex-start; overflow: visible; }
.mt-property .mt-grid { grid-template-columns: 3fr 2fr; }
.mt-property .mt-control > label { width: 56px !important; }
.mt-property .mt-choice > .mt-control { max-width: min(370px, calc(100% - 62px)); }
.mt-property .mt-choice > .mt-beside { min-width: 54px; }
.mt-basic > .mt-form > .widget-html:has(.mt-heading), .mt-basic > .widget-html:has(.mt-heading)
  { display: none; }
.mt-file > .mt-beside { min-width: 0; }
.mt-file .widget-upload { font-size: 0; }
.mt-file .widget-upload > i { font-size: 13px; }
.mt-file .widget-upload::after { content: "Upload, up to 10 MB"; font-size: 13px; margin-left: 4px; }
.mt-property > .mt-form { flex: 1 1 auto; width: auto; min-width: 0; }
.mt-run-form select, .mt-run-form option { color-scheme: inherit; }
.mt-run-form select option { background: var(--jp-layout-color1, white);
  color: var(--jp-ui-font-color1, black); }
@container (max-width: 540px) {
  .mt-form .mt-control:not(.widget-checkbox) { flex-wrap: wrap; height: auto; }
  .mt-form .mt-control:not(.widget-checkbox) > .widget-label { width: 100% !important; min-height: 0;
    justify-content: flex-start; text-align: left; }
  .mt-contents, .mt-split, .mt-chooser, .mt-error { margin-left: 0; }
  .mt-card { grid-template-columns: max-content minmax(0, 1fr); margin-left: 0; }
  .mt-start { flex-wrap: wrap; }
  .mt-field > .mt-beside { min-width: 0; }
}
</style>"""
)


def error_html(text: str, *, css: str = "mt-error") -> str:
    """Return a message that screen readers announce; nothing for an empty text."""
    color = "color:var(--jp-error-color1,#c62828)"
    words = escaped(unbroken(text))
    return f'<div role="alert" class="{css}" style="{color}">{words}</div>' if text else ""


def note_html(text: str) -> str:
    """Return a short line of explanation."""
    return f'<div class="mt-note">{escaped(unbroken(text))}</div>' if text else ""


def number(value: float) -> str:
    """Return a number with three significant digits, without an exponent for large numbers."""
    return grouped(value) if abs(value) >= 1000 else f"{value:.3g}"
