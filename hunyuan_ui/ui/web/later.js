(...parts) =>
  new Promise((draw) => setTimeout(() => draw(parts.map(() => ({ __type__: "update", visible: true })))))
