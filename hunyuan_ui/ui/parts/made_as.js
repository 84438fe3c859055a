const show = () => {
  element.querySelector("p").textContent = props.value;
};
watch("value", show);
show();
