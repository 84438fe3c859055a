// A select whose choices act immediately. In a closed one an arrow key or a letter changes the value without acting: a
// choice made by keys counts with Enter.

const MOVES = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown"];

const isMove = ({ key, ctrlKey, altKey, metaKey }) =>
  !ctrlKey && !altKey && !metaKey && (MOVES.includes(key) || (key.length === 1 && key !== " "));

/**
 * @param {HTMLSelectElement} select Its first option is empty.
 * @param {(value: string) => void} choose
 * @param {(isMoving: boolean) => void} moving Called when keys have selected an option, and when that is over.
 */
export function onMenu(select, choose, moving) {
  let isByKeys = false;

  function stop() {
    if (isByKeys) moving(false);
    isByKeys = false;
  }

  function leave() {
    stop();
    select.selectedIndex = 0;
  }

  function decide() {
    const { value } = select;
    leave();
    if (value) choose(value);
  }

  select.addEventListener("keydown", (event) => {
    if (isMove(event)) isByKeys = true;
    else if (event.key === "Enter" && isByKeys && select.value) {
      event.preventDefault();
      decide();
    } else if (event.key === " ") stop(); // it opens the list, in which a change is a choice
  });
  select.addEventListener("pointerdown", stop);
  select.addEventListener("change", () => (isByKeys ? moving(Boolean(select.value)) : decide()));
  select.addEventListener("blur", leave);
}
