() => hunyuan.settled()
