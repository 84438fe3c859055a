() => [hunyuan.visitor()]
