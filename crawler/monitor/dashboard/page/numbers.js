// Numbers as people read them, written as the terminal writes them. Nothing here knows the page.

const grouped = new Intl.NumberFormat('en');
const clockFace = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

const twoDigits = (number) => String(number).padStart(2, '0');

/** 1,234,567 */
export const amount = (number) => grouped.format(number);

/** "1 redirect", "2 redirects". */
export const counted = (number, word) => `${amount(number)} ${word}${number === 1 ? '' : 's'}`;

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** 9.2 below ten, where a digit more says something; 10 and 1,234 from there on. */
const roughly = (number) => (number >= 9.95 ? amount(Math.round(number)) : number.toFixed(1));

/** Bytes in decimal units: 999 B, 1.5 kB, 31 MB. */
export function size(bytes) {
  let unit = 'B';
  for (const larger of ['kB', 'MB', 'GB', 'TB']) {
    if (bytes < 999.5) break;
    bytes /= 1000;
    unit = larger;
  }
  return `${unit === 'B' ? Math.round(bytes) : roughly(bytes)} ${unit}`;
}

export const rate = (perSecond) => `${perSecond ? roughly(perSecond) : 0}/s`;

/** The time since the beginning: 0:07, 12:05, 3:02:01. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return `${hours ? `${hours}:${twoDigits(minutes)}` : minutes}:${twoDigits(whole % 60)}`;
}

/** The time of day where the reader is, of seconds since 1970: 14:03:59. */
export const timeOfDay = (seconds) => clockFace.format(1000 * seconds);

/** 850 µs, 12 ms, 2.1 s, 45 s, 3 min 05 s, 2 h 10 min, 3 d 4 h. */
export function duration(seconds) {
  if (!seconds) return '0 s';
  if (seconds < 0.0009995) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${roughly(seconds * 1e3)} ms`;
  if (seconds < 59.5) return `${roughly(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${twoDigits(Math.round(seconds) % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${twoDigits(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A share as people read it; 100 % is said only of all of it, 0 % only of nothing. */
export function percent(part, whole) {
  if (!part || !whole) return '0 %';
  const rounded = Math.round((100 * part) / whole);
  if (!rounded) return '< 1 %';
  return `${rounded >= 100 && part < whole ? 99 : rounded} %`;
}
