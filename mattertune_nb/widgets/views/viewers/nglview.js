(view, NGL, scene, center) => {
  const stage = view.stage;
  if (!stage) return;
  // the colours of the page, which may be dark
  const style = getComputedStyle(view.el);
  const color = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const paper = new NGL.Color(color("--jp-layout-color0", "white"));
  const ink = new NGL.Color(color("--jp-content-font-color1", "#1a1a1a"));
  const dark = [ink.r, ink.g, ink.b];
  stage.setParameters({ backgroundColor: paper.getHex(), tooltip: true, fogNear: 100, fogFar: 100 });
  if (!view.mattertuneResizes) {
    view.mattertuneResizes = new ResizeObserver(() => view.handleResize());
    view.mattertuneResizes.observe(view.el);
    // what nglview says about a click on a sphere is its number among all shapes
    view.$pickingInfo.css("visibility", "hidden");
    // the view around it has a button for the full screen
    Promise.resolve(view.btn_pview_fullscreen).then((button) => button?.el.remove());
  }
  const shape = new NGL.Shape("structure", { labelParams: { fontWeight: "bold", zOffset: 2 } });
  scene.positions.forEach((at, i) => {
    shape.addSphere(at, scene.colors[i], scene.radii[i], scene.names[i]);
  });
  for (const [i, j] of scene.bonds) {
    const [start, end] = [scene.positions[i], scene.positions[j]];
    const middle = start.map((x, k) => (x + end[k]) / 2);
    shape.addCylinder(start, middle, scene.colors[i], 0.1, " ");
    shape.addCylinder(middle, end, scene.colors[j], 0.1, " ");
  }
  for (const [start, end] of scene.edges) shape.addCylinder(start, end, scene.edgeColor, 0.03, " ");
  for (const [name, axisColor, start, end] of scene.axes) {
    shape.addArrow(start, end, axisColor, 0.09, name);
    const length = Math.hypot(...end.map((x, k) => x - start[k]));
    shape.addText(end.map((x, k) => x + 0.5 * (x - start[k]) / length), axisColor, 2.2, name);
  }
  for (const [start, end] of scene.arrows) shape.addArrow(start, end, dark, 0.1, "force");
  const before = stage.compList.slice();
  stage.addComponentFromObject(shape).addRepresentation("buffer");
  if (scene.marked !== null) {
    const halo = new NGL.Shape("marked atom");
    const at = scene.positions[scene.marked];
    halo.addSphere(at, scene.markColor, 1.6 * scene.radii[scene.marked] + 0.1, scene.names[scene.marked]);
    stage.addComponentFromObject(halo).addRepresentation("buffer", { opacity: 0.45, depthWrite: false });
  }
  before.forEach((component) => stage.removeComponent(component));
  if (center) {
    view.handleResize();
    stage.autoView();
    stage.viewerControls.zoom(0.3);
  }
}
