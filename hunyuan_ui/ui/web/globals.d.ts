// What the head puts into the page before the scripts, and what the scripts put there for Gradio's events.
interface Window {
  hunyuanWords: Record<string, Record<string, string>>;
  hunyuanTemplates: Record<string, string>;
  hunyuan: any;
}
