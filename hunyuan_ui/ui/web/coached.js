(prompt, negative) => {
  document.dispatchEvent(new CustomEvent("hunyuan:prompt", { detail: { prompt, negative } }));
  return [];
}
