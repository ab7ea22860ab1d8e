/** What the reader takes along: the request, the arrays, a picture. */
import { canvases } from './answer.js';
import { HOME, hasKey } from './api.js';
import { largest } from './credit.js';
import { byId, download, on } from './dom.js';
import { figureOf } from './figure.js';
import { npzOf } from './npz.js';
import { heatOf } from './overlay.js';
import { reach } from './pose.js';
import { curlOf, pythonOf } from './requests.js';
import { used } from './slots.js';
import { chosenClass, state, tensorOf } from './state.js';
import { isNone } from './transform.js';

/** Set up the buttons. */
export function setUpTake() {
  on(byId('copy-curl', HTMLButtonElement), 'click', () => copy(curlOf, 'the command'));
  on(byId('copy-python', HTMLButtonElement), 'click', () => copy(pythonOf, 'the program'));
  on(byId('download-picture', HTMLButtonElement), 'click', downloadPictures);
  on(byId('download-npz', HTMLButtonElement), 'click', downloadArrays);
  on(byId('download-png', HTMLButtonElement), 'click', downloadFigure);
}

function filesAsSent() {
  const isSame = isNone(state.change) && state.toy === null;
  return used(state.slots).map((picture, index, all) => {
    if (isSame) return { name: picture.name, type: picture.type };
    return { name: all.length > 1 ? `picture-${index ? 'right' : 'left'}.png` : 'picture.png', type: 'image/png' };
  });
}

/** @param {(asked: import('./requests.js').Asked) => string} form @param {string} name */
async function copy(form, name) {
  if (!state.model) return;
  const text = form({ home: HOME, model: state.model.name, files: filesAsSent(), withKey: hasKey() });
  const code = byId('code', HTMLTextAreaElement);
  code.value = text;
  code.rows = text.trim().split('\n').length;
  code.hidden = false;
  const isSame = isNone(state.change) && state.toy === null;
  const rest = isSame ? '' : ' Download the picture as sent beside it.';
  try {
    await navigator.clipboard.writeText(text);
    byId('take-note', HTMLElement).textContent = `Copied ${name}.${rest}`;
  } catch {
    byId('take-note', HTMLElement).textContent = `This browser does not let the page copy: here it is.${rest}`;
  }
}

function downloadPictures() {
  const names = filesAsSent().map(({ name }) => `${name.replace(/\.\w+$/, '')}.png`);
  names.forEach((name, index) => {
    canvases[index].toBlob((blob) => blob && download(blob, name));
  });
}

function nothingYet() {
  byId('take-note', HTMLElement).textContent = 'There is no answer yet.';
}

function downloadArrays() {
  const { model, tensors, parts } = state;
  if (!model || !tensors.size) {
    nothingYet();
    return;
  }
  const arrays = new Map(tensors);
  for (const { layer, credit } of parts ?? []) {
    if (credit)
      arrays.set(`${layer.name}_credit`, { shape: [...layer.grid, layer.types], data: Float32Array.from(credit) });
  }
  download(new Blob([/** @type {BlobPart} */ (npzOf(arrays))]), `${model.name}.npz`);
}

function downloadFigure() {
  const { model, parts } = state;
  const activations = tensorOf('activations');
  const poses = tensorOf('poses');
  if (!model || !parts || !activations || !poses) {
    nothingYet();
    return;
  }
  const chosen = chosenClass();
  const order = largest(activations, model.classes.length);
  const layers = parts.flatMap(({ credit, title }, index) =>
    credit ? [{ title: `${title}: credit of ${model.classes[chosen]}`, ...heatOf(model, index) }] : [],
  );
  const figure = figureOf(
    {
      title: `${model.name} version ${model.version}: ${model.classes[chosen]}, active ${activations[chosen].toFixed(3)}`,
      pictures: canvases.slice(0, model.image.channels === 2 ? 2 : 1),
      classes: order.map((index) => ({
        name: model.classes[index],
        value: activations[index],
        chosen: index === chosen,
      })),
      pose: Array.from(poses.subarray(16 * chosen, 16 * chosen + 16)),
      limit: reach(poses),
      label: model.classes[chosen],
      layers,
    },
    document.body,
  );
  figure.toBlob((blob) => blob && download(blob, `${model.name}-${model.classes[chosen]}.png`));
}
