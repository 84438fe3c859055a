() => false
