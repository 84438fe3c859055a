(...values) => [hunyuan.begin(), ...values.slice(1)]
