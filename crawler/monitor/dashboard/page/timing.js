// When to do what is asked for more often than it has to be done.

/** Run `draw` in the next frame of the screen, once, however often it is asked for; never while the page is hidden. */
export function onceAFrame(draw) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      draw();
    });
  };
}

/** Run `act` when it was not asked for again for that long. */
export function settled(act, milliseconds) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  };
}
