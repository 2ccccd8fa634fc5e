# SPDX-License-Identifier: GPL-2.0
"""VM entry and exit in the built module: what an emulator forgives and silicon does not."""

import pathlib
import re
import struct
import subprocess
import tempfile

import kernels
from gates import elf
from kernels import lab
from machines import machine
from where import ROOT

# Where KVM deals with the CPU's flaws. The first has to be there, or this looks at nothing.
KVM_ENTRY = "__vmx_vcpu_run"
KVM_AROUND = ("vmx_vcpu_enter_exit", "vmx_l1d_flush", "vmx_spec_ctrl_restore_host", "vmx_vcpu_load_vmcs",
              "vmx_vcpu_run", "vmx_handle_exit_irqoff", "vcpu_enter_guest")
OUR_ENTRY = "__vmx_enter"

# What KVM has there and the module does without.
NOT_OURS = {
    "ALWAYS": "every feature test and paravirtual call has it",
    "XENPV": "a paravirtual call",
    "MSR_SPEC_CTRL": "guests cannot write SPEC_CTRL: they run with the host's, and nothing is exchanged",
    "x86_verw_sel": "the module has a selector of its own, since some kernels lend theirs to KVM alone",
    "LFENCE_RDTSC": "it is for a branch on the guest's SPEC_CTRL, and there is no such branch",
    "x86_spec_ctrl_current": "the host's SPEC_CTRL is in the CPU while guests run",
}

# What bugs.c decides for other places than VM entry and exit.
ELSEWHERE = {
    **dict.fromkeys(("RETPOLINE", "RETPOLINE_LFENCE", "RETHUNK", "UNRET", "CALL_DEPTH", "INDIRECT_THUNK_ITS",
                     "SRSO", "SRSO_ALIAS"), "the kernel patches it into the thunks that modules call"),
    **dict.fromkeys(("FENCE_SWAPGS_USER", "FENCE_SWAPGS_KERNEL", "ENTRY_IBPB", "CLEAR_BHB_LOOP",
                     "cpu_buf_idle_clear"), "on the kernel's own entry, exit and idle paths"),
    **dict.fromkeys(("RSB_CTXSW", "switch_mm_cond_l1d_flush", "switch_mm_always_ibpb", "switch_mm_cond_ibpb",
                     "switch_to_cond_stibp"), "when the kernel switches tasks"),
    **dict.fromkeys(("USE_IBPB_FW", "USE_IBRS_FW"), "when firmware is called"),
    **dict.fromkeys(("IBPB_ON_VMEXIT", "SRSO_NO", "SRSO_BP_SPEC_REDUCE"), "AMD's"),
    "AVX": "withdrawn where GDS has no other remedy",
    "CLEAR_BHB_HW": "SPEC_CTRL, which guests run with, has it",
    "SPEC_STORE_BYPASS_DISABLE": "SPEC_CTRL, which guests run with, has it",
    "L1TF_PTEINV": "of the kernel's own page tables",
    "bpf_pred_flush_enabled": "of BPF",
}

FEATURE = re.compile(r"#define X86_FEATURE_(\w+)\s+\(\s*(\d+)\s*\*\s*32\s*\+\s*(\d+)\s*\)")
ALTERNATIVE_CPUID = 8     # offset in struct alt_instr, behind two relocated offsets


def header(kernel, name):
    """The text of an asm/ header: Debian's are in the folder that all flavours share."""
    folders = [kernel.kdir, *kernel.kdir.parent.glob("linux-headers-*-common")]
    return next(path for folder in folders if (path := folder / "arch/x86/include/asm" / name).exists()).read_text()


def features(kernel):
    return {int(word) * 32 + int(bit): name for name, word, bit in FEATURE.findall(header(kernel, "cpufeatures.h"))}


def alternatives(module, names):
    """(function, feature) of each piece of code that depends on a CPU feature."""
    places = module.relocations(".altinstructions")
    table = module.sections[".altinstructions"]
    size = len(table) // (len(places) // 2)     # grows with the kernel's version
    found = set()
    for offset in range(0, len(table), size):
        number, = struct.unpack_from("<H", table, offset + ALTERNATIVE_CPUID)
        function = module.function_at(module.target(places[offset]))
        found.add((function, names.get(number & 0x7fff, str(number))))
    return found


def kvm_modules(kernel):
    folder = kernel.modules / "kernel/arch/x86/kvm"
    return [elf.Object(next(folder.glob(f"{name}.ko*"))) for name in ("kvm-intel", "kvm")]


def decided_by_bugs_c():
    """What the kernel's choice of mitigations sets: features and static keys."""
    text = (lab.source() / "arch/x86/kernel/cpu/bugs.c").read_text()
    return set(re.findall(r"setup_(?:force|clear)_cpu_cap\(X86_FEATURE_(\w+)\)|static_branch_enable\(&(\w+)\)", text))


def missing_beside_kvm(kernel, ours):
    """What KVM has at VM entry and exit on this kernel, and OURS has not."""
    names = features(kernel)
    have = alternatives(ours, names)
    kvm = [(module, alternatives(module, names)) for module in kvm_modules(kernel)]
    words = set(re.findall(r"\w+", header(kernel, "nospec-branch.h")))
    wanted = {feature for function, feature in kvm[0][1] if function == KVM_ENTRY}
    if not wanted:
        return [f"{KVM_ENTRY} is not in kvm-intel.ko, or has no alternatives: look for what has taken its place"]
    absent = [f"{OUR_ENTRY} has no alternative for {name}, which {KVM_ENTRY} has"
              for name in wanted if (OUR_ENTRY, name) not in have]
    around = {feature for _, found in kvm for function, feature in found if function in KVM_AROUND}
    absent += [f"no alternative for {name}, which KVM has around VM entry"
               for name in around if name not in {feature for _, feature in have}]
    used = {name for module, _ in kvm for name in module.undefined() & words}
    absent += [f"{name} of nospec-branch.h is not used, and KVM uses it" for name in used - ours.undefined()]
    return [text for text in sorted(absent) if not set(re.findall(r"\w+", text)) & NOT_OURS.keys()]


def unexplained_by_bugs_c(kernel, ours):
    """What the kernel may decide about a CPU's flaws, and neither the module nor the list above knows of."""
    have = {feature for _, feature in alternatives(ours, features(kernel))} | ours.undefined()
    return [f"bugs.c decides {name}: the module does not use it, and ELSEWHERE does not say why"
            for name in sorted(set().union(*decided_by_bugs_c()) - {""}) if name not in have | ELSEWHERE.keys()]


# How kernels have said where VERW is needed, oldest first: what their headers have, what is defined for them by
# Kbuild, and what the module then looks at, at VM entry and for guests with memory of devices; or nothing if it
# refuses them.
AGES = (
    ((), ("MMIO_STALE_DATA_CLEAR",), None),
    (("CLEAR_CPU_BUF",), ("MMIO_STALE_DATA_CLEAR",), ("CLEAR_CPU_BUF", "mmio_stale_data_clear")),
    (("CLEAR_CPU_BUF", "CLEAR_CPU_BUF_VM"), ("MMIO_STALE_DATA_CLEAR",), ("CLEAR_CPU_BUF_VM", "mmio_stale_data_clear")),
    (("CLEAR_CPU_BUF", "CLEAR_CPU_BUF_VM"), ("CPU_BUF_VM_CLEAR",), ("CLEAR_CPU_BUF_VM", "cpu_buf_vm_clear")),
    (("CLEAR_CPU_BUF", "CLEAR_CPU_BUF_VM", "CLEAR_CPU_BUF_VM_MMIO"), (), ("CLEAR_CPU_BUF_VM", "CLEAR_CPU_BUF_VM_MMIO")),
    (("CLEAR_CPU_BUF", "CLEAR_CPU_BUF_VM"), (), None),
)


def preprocess(name, features, probed, *flags):
    """vmx/NAME, and what it takes for VERW's feature, with headers that have these CPU features alone."""
    texts = [(ROOT / "vmx" / part).read_text() for part in ("entry.S", "verw.h")]
    with tempfile.TemporaryDirectory() as folder:
        for included in re.findall(r"^#include <(.*)>", "\n".join(texts), re.MULTILINE):
            path = pathlib.Path(folder, included)
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(f"#define X86_FEATURE_{feature} {feature}\n" for feature in features)
                            if included.endswith("cpufeatures.h") else "")
        return subprocess.run(["gcc", "-E", "-P", "-x", "c", *(f"-DVMX_HAVE_{macro}" for macro in probed), *flags,
                               "-nostdinc", "-I", folder, "-"], text=True, capture_output=True,
                              input=f'#include "{ROOT}/vmx/{name}"\nVM_ENTRY VMX_FEATURE_VERW_VM\n')


def verw_by_age(features, probed):
    """What vmx/verw.h makes of headers: the feature at VM entry, and the condition for memory of devices."""
    result = preprocess("verw.h", features, probed)
    if result.returncode:
        return None if "#error" in result.stderr else result.stderr
    device, = re.findall(r"return (?:cpu_feature_enabled|static_branch_unlikely)\(&?(\w+)\)", result.stdout)
    return re.search(r"VM_ENTRY (\w+)", result.stdout)[1], device


def verw():
    """Kernels that do not say where VERW is needed are refused, and the others understood."""
    for features, probed, expected in AGES:
        found = verw_by_age(features, probed)
        if found != expected:
            yield f"headers with {', '.join([*features, *probed])}: vmx/verw.h takes {found}, not {expected}"


def history():
    """Kernels whose headers do not say how the branch history is cleared are refused."""
    for probed, refused in (((), True), (("CLEAR_BRANCH_HISTORY_VMEXIT",), False)):
        result = preprocess("entry.S", ("CLEAR_CPU_BUF",), probed, "-D__ASSEMBLY__")
        if (result.returncode != 0) != refused or "#error" not in result.stderr and refused:
            yield f"headers with {', '.join(probed) or 'no such macro'}: vmx/entry.S says {result.stderr or 'nothing'}"


def built(name):
    kernel = kernels.find(name)
    _, modules = machine.prepare_module(kernel)
    return kernel, modules[0]


def mitigations():
    wrong = [*verw(), *history()]
    for name in ("debian-6.1", "debian-6.12"):
        kernel, path = built(name)
        module = elf.Object(path)
        found = missing_beside_kvm(kernel, module)
        if name == "debian-6.12":       # whose source is at hand
            found += unexplained_by_bugs_c(kernel, module)
        wrong += [f"{name}: {text}" for text in found]
    return wrong


# Of those that fault when VMX is off: SDM, the operation sections of "VMX Instruction Reference"
VMX_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(?:rep[nz]* )?"
                             r"(vm(?:xon|xoff|clear|ptrld|ptrst|read|write|launch|resume)|invept|invvpid)\b")
HOST_EVENT = re.compile(r"^\s*([0-9a-f]+):\tint\s+\$0x12\b")


def disassembly(path):
    """(section, line) of the module's code."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(path)], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    section = None
    for line in text.splitlines():
        if match := re.match(r"Disassembly of section (\S+):", line):
            section = match[1]
        yield section, line


def instructions():
    """Each VMX instruction has an exception-table entry, and no machine check is called by INT."""
    kernel, path = built("debian-6.12")
    module = elf.Object(path)
    places = module.relocations("__ex_table")
    entries = {module.target(place) for offset, place in places.items() if offset % 12 == 0}
    wrong, seen = [], 0
    for section, line in disassembly(path):
        if match := VMX_INSTRUCTION.match(line):
            place = (section, int(match[1], 16))
            seen += 1
            if place not in entries:
                wrong.append(f"{match[2]} in {module.function_at(place)}() has no exception-table entry: "
                             "it is an oops if a reboot has turned VMX off")
        if match := HOST_EVENT.match(line):
            wrong.append(f"{module.function_at((section, int(match[1], 16)))}() executes INT 18: the handler takes "
                         "the machine check for one in the kernel, and panics")
    return wrong or ([] if seen else ["there is no VMX instruction: objdump says something else than expected"])
