// A device for torch whose memory is the computer's own and whose work is done by the processor; nothing else can read
// it without asking, as with a GPU. Built by test_torch.py.

#include <ATen/EmptyTensor.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/as_strided_cpu_dispatch.h>
#include <ATen/ops/set_cpu_dispatch.h>
#include <ATen/ops/view_cpu_dispatch.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

namespace {

using Sizes = c10::SymIntArrayRef;
const c10::DispatchKeySet KEYS(c10::DispatchKey::PrivateUse1);

struct Memory final : at::Allocator {
  at::DataPtr allocate(size_t size) override {
    void* place = c10::alloc_cpu(size);
    return {place, place, &c10::free_cpu, at::Device(at::DeviceType::PrivateUse1, 0)};
  }
  at::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* to, const void* from, std::size_t size) const override { default_copy_data(to, from, size); }
};
Memory memory;
REGISTER_ALLOCATOR(c10::DeviceType::PrivateUse1, &memory);

struct Guard final : c10::impl::DeviceGuardImplInterface {
  at::Device device{at::DeviceType::PrivateUse1, 0};
  at::DeviceType type() const override { return at::DeviceType::PrivateUse1; }
  at::Device exchangeDevice(at::Device) const override { return device; }
  at::Device getDevice() const override { return device; }
  void setDevice(at::Device) const override {}
  void uncheckedSetDevice(at::Device) const noexcept override {}
  at::Stream getStream(at::Device) const override { return at::Stream(at::Stream::DEFAULT, device); }
  at::Stream exchangeStream(at::Stream) const override { return getStream(device); }
  at::DeviceIndex deviceCount() const noexcept override { return 1; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

at::Tensor empty(Sizes sizes, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(sizes), &memory, KEYS, c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(Sizes sizes, Sizes strides, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides), &memory,
                                           KEYS, c10::dtype_or_default(dtype));
}

at::Tensor in_sight(const at::Tensor& tensor) {  // the same memory, for the processor
  if (tensor.is_cpu()) return tensor;
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), tensor.options().device(at::kCPU));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  in_sight(to).copy_(in_sight(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  return copy_from(from, to.resize_(from.sizes()), false);
}

void on_the_processor(const c10::OperatorHandle& op, torch::jit::Stack* stack) { at::native::cpu_fallback(op, stack); }

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("_copy_from", copy_from);
  library.impl("_copy_from_and_resize", copy_from_and_resize);
  library.impl("set_.source_Storage", [](at::Tensor& tensor, at::Storage source) -> at::Tensor& {
    return at::cpu::set_(tensor, source);
  });
  library.impl("set_.source_Storage_storage_offset",
               [](at::Tensor& tensor, at::Storage source, c10::SymInt offset, Sizes sizes, Sizes strides)
                   -> at::Tensor& { return at::cpu::set__symint(tensor, source, offset, sizes, strides); });
  library.impl("as_strided", [](const at::Tensor& tensor, Sizes sizes, Sizes strides, std::optional<c10::SymInt> offset) {
    return at::cpu::as_strided_symint(tensor, sizes, strides, offset);
  });
  library.impl("view", [](const at::Tensor& tensor, Sizes sizes) { return at::cpu::view_symint(tensor, sizes); });
  library.impl("resize_", [](const at::Tensor& tensor, Sizes sizes, std::optional<at::MemoryFormat> format)
                   -> const at::Tensor& { return at::native::resize_(tensor, C10_AS_INTARRAYREF_SLOW(sizes), format); });
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_processor>());
}
