(prompt) => hunyuan.carried(prompt)
