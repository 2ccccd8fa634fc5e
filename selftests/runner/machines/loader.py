# SPDX-License-Identifier: GPL-2.0
"""The machine's boot loader: does what the kernel's boot protocol asks of one (Documentation/arch/x86/boot.rst there).

GRUB takes 17 instructions for each byte that it loads, and a stock kernel more of them to unpack itself than it takes
to boot. So an option ROM of a few instructions reads all from a disk, and stock kernels are unpacked here.
"""

import lzma
import struct
import subprocess
import zlib

from where import BUILD, RUNNER, Failure, locked

# Fields of the setup header: (offset, format).
SETUP_SECTS = 0x1f1, "B"
VERSION = 0x206, "H"
TYPE_OF_LOADER = 0x210, "B"
LOADFLAGS = 0x211, "B"
CODE32_START = 0x214, "I"
RAMDISK_IMAGE = 0x218, "I"
RAMDISK_SIZE = 0x21c, "I"
HEAP_END_PTR = 0x224, "H"
CMD_LINE_PTR = 0x228, "I"
INITRD_ADDR_MAX = 0x22c, "I"
XLOADFLAGS = 0x236, "H"
CMDLINE_SIZE = 0x238, "I"
PAYLOAD_OFFSET = 0x248, "I"
PAYLOAD_LENGTH = 0x24c, "I"
PREF_ADDRESS = 0x258, "Q"
INIT_SIZE = 0x260, "I"

UNKNOWN_LOADER = 0xff
CAN_USE_HEAP = 0x80
XLF_KERNEL_64 = 1
# Of the protocol: the first that has all of these fields, in Linux 3.8.
OLDEST = 0x20c

# Where the protocol has the setup code, its heap's end, and the command line.
SETUP = 0x90000
HEAP_END = 0xe000
COMMAND_LINE = SETUP + HEAP_END
ROM = 0xd0000
SECTOR = 512
# Disks are made of these: 16 heads, 63 sectors.
CYLINDER = 16 * 63 * SECTOR
# The BIOS has its tables at the end of memory.
BIOS_TABLES = 1 << 20
# Below this, files are out of the way of 1 GiB pages.
INITRD_END = 0x38000000

E_ENTRY = 24
PT_LOAD = 1
# Room for unpacked.S below the kernel.
HEAD = 0x10000


def unzstd(data):
    # Behind it is the size that it unpacks to.
    return subprocess.run(["zstd", "-dcq"], input=data[:-4], stdout=subprocess.PIPE, check=True).stdout


# Lab kernels are packed by LZ4, which costs next to nothing.
UNPACK = {b"\xfd7zXZ\0": lambda data: lzma.LZMADecompressor().decompress(data),
          b"\x1f\x8b": lambda data: zlib.decompressobj(31).decompress(data),
          b"\x28\xb5\x2f\xfd": unzstd}


class Image:
    """A bzImage, whose SETUP code is changed in place and whose CODE is loaded at ADDRESS."""

    def __init__(self, path):
        data = path.read_bytes()
        self.setup = bytearray(data[:SECTOR * 2])
        if (data[0x202:0x206] != b"HdrS" or len(data) < len(self.setup) or self.get(VERSION) < OLDEST
                or not self.get(XLOADFLAGS) & XLF_KERNEL_64):
            raise Failure(f"{path} is not the bzImage of a 64-bit kernel since Linux 3.8")
        # The first sector counts, too; 0 stands for 4.
        self.setup = bytearray(data[:((self.get(SETUP_SECTS) or 4) + 1) * SECTOR])
        self.code = data[len(self.setup):]
        self.address = self.get(PREF_ADDRESS)
        self.size = self.get(INIT_SIZE)     # bytes of memory that it needs there

    def get(self, field):
        return struct.unpack_from("<" + field[1], self.setup, field[0])[0]

    def set(self, field, value):
        struct.pack_into("<" + field[1], self.setup, field[0], value)

    def unpack(self):
        """Puts the kernel itself in place of the code that would unpack it, and that turns on page tables of five
        levels: no CPU model has them (LA57).
        """
        start = self.get(PAYLOAD_OFFSET)
        payload = self.code[start:start + self.get(PAYLOAD_LENGTH)]
        unpack = next((unpack for magic, unpack in UNPACK.items() if payload.startswith(magic)), None)
        if not unpack:
            return
        elf = unpack(payload)
        segments = list(loaded(elf))
        self.address = min(address for address, _, _ in segments) - HEAD
        self.size = max(address + memory for address, _, memory in segments) - self.address
        head = assemble("unpacked", self.address, kernel=struct.unpack_from("<Q", elf, E_ENTRY)[0])
        if len(head) > HEAD:
            raise Failure("loader/unpacked.S does not fit below the kernel")
        code = bytearray(max(address + len(data) for address, data, _ in segments) - self.address)
        for address, data, _ in [(self.address, head, 0), *segments]:
            code[address - self.address:address - self.address + len(data)] = data
        self.code = bytes(code)


def loaded(elf):
    """(physical address, data, bytes in memory) of each segment that is loaded."""
    offset, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for at in range(offset, offset + count * size, size):
        kind, _, data, _, address, length, memory, _ = struct.unpack_from("<IIQQQQQQ", elf, at)
        if kind == PT_LOAD:
            yield address, elf[data:data + length], memory


def assemble(name, address, **symbols):
    """The code of loader/NAME.S for this ADDRESS."""
    program = BUILD / f"machine/loader-{name}-{address:x}"
    program.parent.mkdir(parents=True, exist_ok=True)
    with locked(program):
        options = ["-mx86-used-note=no", *(f"--defsym,{symbol}={value:#x}" for symbol, value in symbols.items())]
        subprocess.run(["gcc", "-c", *(f"-Wa,{option}" for option in options), "-o", f"{program}.o",
                        RUNNER / f"machines/loader/{name}.S"], check=True)
        subprocess.run(["ld", "-e0", "--build-id=none", "-o", program, "--oformat=binary", f"-Ttext={address:#x}",
                        f"{program}.o"], check=True)
        return program.read_bytes()


def sectors(data):
    return -(-len(data) // SECTOR)


def rom(parts):
    code = bytearray(assemble("rom", 0, rom=ROM, setup=SETUP >> 4, stack=HEAP_END - 16))
    table = b"".join(struct.pack("<III", *part) for part in parts)
    if len(code) > SECTOR - 1:
        raise Failure("loader/rom.S does not fit a sector")
    code[len(code) - len(table) - 12:len(code) - 12] = table
    code += bytes(SECTOR - len(code))
    # The BIOS calls it if the sum of its bytes is 0.
    code[-1] = -sum(code) & 0xff
    return code


def prepare(folder, kernel, initrd, command_line, memory):
    """Makes FOLDER's files of what the machine boots; MEMORY is its bytes. Returns their lines of the configuration."""
    image = Image(kernel.image)
    image.unpack()
    initrd = initrd.read_bytes()
    end = min(image.get(INITRD_ADDR_MAX) + 1, INITRD_END, memory - BIOS_TABLES)
    initrd_address = (end - len(initrd)) & ~0xfff
    if initrd_address < image.address + image.size:
        raise Failure(f"{memory >> 20} MiB do not hold {kernel.image} and {len(initrd) >> 20} MiB of files: "
                      "run fewer tests at a time, or give FILES= less")
    if len(command_line) > image.get(CMDLINE_SIZE):
        raise Failure(f"{kernel.image} takes no command line of {len(command_line)} bytes")
    for field, value in ((TYPE_OF_LOADER, UNKNOWN_LOADER), (LOADFLAGS, image.get(LOADFLAGS) | CAN_USE_HEAP),
                         (HEAP_END_PTR, HEAP_END - 0x200), (CMD_LINE_PTR, COMMAND_LINE),
                         (CODE32_START, image.address), (RAMDISK_IMAGE, initrd_address), (RAMDISK_SIZE, len(initrd))):
        image.set(field, value)
    setup = image.setup + bytes(HEAP_END - len(image.setup)) + command_line.encode() + b"\0"
    parts, disk = [], b""
    for address, data in ((SETUP, setup), (image.address, image.code), (initrd_address, initrd)):
        parts.append((address, sectors(data), len(disk) // SECTOR))
        disk += data + bytes(-len(data) % SECTOR)
    (folder / "rom").write_bytes(rom(parts))
    (folder / "disk").write_bytes(disk + bytes(-len(disk) % CYLINDER))
    return (f"optromimage1: file={folder / 'rom'}, address={ROM:#x}\n"
            f"ata0-master: type=disk, mode=flat, path={folder / 'disk'}, cylinders={-(-len(disk) // CYLINDER)}, heads=16, "
            "spt=63\n")
