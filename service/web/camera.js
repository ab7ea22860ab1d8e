/** A picture from the camera, where the browser allows one: on localhost and over HTTPS. */
import { byId, on } from './dom.js';

/**
 * @param {(blob: Blob) => void} use gets the picture
 */
export function setUpCamera(use) {
  const dialog = byId('camera-dialog', HTMLDialogElement);
  const view = byId('camera-view', HTMLVideoElement);
  const note = byId('camera-note', HTMLElement);
  const open = byId('camera', HTMLButtonElement);
  const take = byId('camera-use', HTMLButtonElement);
  if (!navigator.mediaDevices) {
    open.disabled = true;
    open.title = 'Browsers allow the camera only on localhost and over HTTPS.';
    return;
  }
  on(open, 'click', async () => {
    dialog.showModal();
    take.disabled = true;
    note.textContent = 'Waiting for the camera …';
    try {
      view.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
      await view.play();
      note.textContent = 'The middle of the picture is used.';
      take.disabled = false;
      if (!dialog.open) stop();
    } catch (error) {
      const reason = error instanceof Error ? error.message : error;
      note.textContent = `No camera: ${reason}. Allow it beside the browser's address, or choose a file.`;
    }
  });
  on(take, 'click', () => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: view.videoWidth, height: view.videoHeight });
    canvas.getContext('2d')?.drawImage(view, 0, 0);
    canvas.toBlob((blob) => {
      dialog.close();
      if (blob) use(blob);
    }, 'image/png');
  });
  on(byId('camera-close', HTMLButtonElement), 'click', () => dialog.close());
  on(dialog, 'close', stop);

  function stop() {
    const stream = /** @type {MediaStream | null} */ (view.srcObject);
    for (const track of stream?.getTracks() ?? []) track.stop();
    view.srcObject = null;
  }
}
